"""The end of a download: check that no clip vanished, write the manifest and the coverage."""

import importlib.metadata
import platform
from collections import Counter
from typing import Any

import pyarrow as pa

from pipelines.jobs.download.job import DownloadJob
from pipelines.store.coverage import Coverage, write_coverage
from pipelines.store.parquet import failures_table
from schemas import TableName
from schemas.manifest import subset_id
from schemas.secrets import redact_address


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
            "yt-dlp": importlib.metadata.version("yt-dlp"),
            "apache-beam": importlib.metadata.version("apache-beam"),
            "command": job.command,
        },
    }
    reasons = {key: str(failure.reason) for key, failure in state.failed.items()}
    write_coverage(
        job.media,
        Coverage.of(job.dataset, clips.values(), state.done, reasons, subset_id(state.done)),
    )
    return store.write_manifest(store.state(), extra, facts, done=state.done)
