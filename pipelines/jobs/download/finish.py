"""The end of a download: check that no clip vanished, write the manifest and the coverage."""

import importlib.metadata
import io
import platform
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from pipelines.jobs.download.duplicates.near_duplicates import NearDuplicates, find_near_duplicates
from pipelines.jobs.download.job import DownloadJob
from pipelines.store import files
from pipelines.store.coverage import Coverage, write_coverage
from pipelines.store.media_store import MediaStore
from pipelines.store.parquet import failures_table
from schemas import Clip, TableName, read_parquet
from schemas.manifest import subset_id
from schemas.secrets import redact_address


def _near_duplicates(
    store: MediaStore, clips: Mapping[str, Clip], done: Collection[str]
) -> NearDuplicates:
    """Compare the hashes of the clips that are here."""
    hashes: dict[str, str] = {}
    for path in store.parts(store.state())["media"]:
        table = read_parquet(io.BytesIO(files.read(files.join(store.out, *path.split("/")))))
        if "phash" in table.schema.names:
            keys, words = (table[name].to_pylist() for name in ("clip_key", "phash"))
            hashes |= {key: word for key, word in zip(keys, words, strict=True) if word}
    held = {key: word for key, word in hashes.items() if key in done and key in clips}
    videos = {key: clips[key].video_id for key in held}
    return find_near_duplicates(held, videos, {key: clips[key].split or "" for key in held})


def finish(job: DownloadJob) -> dict[str, Any]:
    """Write `manifest.json` from the receipts; RuntimeError when a clip has no outcome."""
    store, state = job.store(), job.media_state()
    clips = {clip.key: clip for clip in job.clips()}
    lost = [key for key in clips if key not in state.done and key not in state.failed]
    if lost and job.batch is None:
        raise RuntimeError(f"{len(lost)} clips have neither a file nor a failure: {lost[:5]}")
    known = state.done | state.failed.keys()
    extra: dict[TableName, pa.Table] = {"failures": failures_table(state.failed.values())}
    facts = {
        "kind": "media",
        "dataset": job.dataset,
        "source": redact_address(job.source),
        "features": job.features,
        "counts": {
            "clips_in": len(known),
            "clips_done": len(state.done),
            "clips_failed": len(state.failed),
            "failed_by_reason": dict(
                Counter(str(failure.reason) for failure in state.failed.values())
            ),
        },
        "provenance": {
            "python": platform.python_version(),
            "yt-dlp": job.yt_dlp or importlib.metadata.version("yt-dlp"),
            "apache-beam": importlib.metadata.version("apache-beam"),
            "command": job.command,
        },
    }
    reasons = {key: str(failure.reason) for key, failure in state.failed.items()}
    coverage = Coverage.of(job.dataset, clips.values(), state.done, reasons, subset_id(state.done))
    coverage.near_duplicates = _near_duplicates(store, clips, state.done).to_json()
    write_coverage(job.media, coverage)
    return store.write_manifest(store.state(), extra, facts, done=state.done)
