"""The end of a download: check that no clip vanished, write the manifest and the coverage."""

import importlib.metadata
import platform
from collections import Counter
from typing import Any

import pyarrow as pa

from pipelines.jobs.download.job import DownloadJob
from pipelines.store.coverage import Coverage, write_coverage
from pipelines.store.feature_store import failures_table
from schemas import TableName


def finish(job: DownloadJob) -> dict[str, Any]:
    """Write `manifest.json` from the receipts; RuntimeError when a clip has no fate."""
    store, fates = job.store(), job.fates()
    clips = {clip.key: clip for clip in job.clips()}
    lost = [key for key in clips if key not in fates.done and key not in fates.failed]
    if lost and job.batch is None:
        raise RuntimeError(f"{len(lost)} clips have neither a file nor a failure: {lost[:5]}")
    known = fates.done | fates.failed.keys()
    extra: dict[TableName, pa.Table] = {"failures": failures_table(fates.failed.values())}
    facts = {
        "kind": "media",
        "dataset": job.dataset,
        "source": job.source,
        "features": job.features,
        "counts": {
            "clips_in": len(known),
            "clips_done": len(fates.done),
            "clips_failed": len(fates.failed),
            "failed_by_reason": dict(
                Counter(str(failure.reason) for failure in fates.failed.values())
            ),
        },
        "provenance": {
            "python": platform.python_version(),
            "yt-dlp": importlib.metadata.version("yt-dlp"),
            "apache-beam": importlib.metadata.version("apache-beam"),
            "command": job.command,
        },
    }
    standing = store.standing()
    manifest = store.write_manifest(standing, extra, facts, done=fates.done)
    reasons = {key: str(failure.reason) for key, failure in fates.failed.items()}
    write_coverage(
        job.media,
        Coverage.of(job.dataset, clips.values(), fates.done, reasons, manifest["subset_id"]),
    )
    return manifest
