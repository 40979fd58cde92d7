"""Rounds of a download and a features job, with nothing but storage between them."""

import logging
from dataclasses import replace
from pathlib import Path

from pipelines.jobs.download import command as download
from pipelines.jobs.download.job import DownloadJob
from pipelines.jobs.download.launch import make_job as make_download_job
from pipelines.jobs.download.launch import run_download
from pipelines.jobs.features import command as features
from pipelines.jobs.features.graph import build
from pipelines.jobs.features.launch import make_job as make_features_job
from pipelines.runners.graph import run_pipeline
from pipelines.runners.presets import Destination
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.locking import locked
from pipelines.store.media_store import SUFFIX
from schemas.machine.clock import utc_stamp

_log = logging.getLogger(__name__)


def run_rounds(
    fetching: download.Options,
    extraction: features.Options,
    *,
    batch: int | None,
    rest: list[str],
    destination: Destination,
) -> int:
    """Download, extract, and so on until nothing is left; return 1 when either fell short.

    With `batch`, so many clips are fetched, then worked on, then their files are removed.
    """
    out = files.absolute(extraction.out or f"out/{extraction.dataset}")
    job = replace(make_download_job(fetching), features=out, batch=batch, not_since=utc_stamp())
    extraction = replace(extraction, annotations=job.annotations or extraction.annotations)
    try:
        return _rounds(job, extraction, fetching.max_failed, rest, destination)
    finally:
        job.first_videos.unlink(missing_ok=True)


def _rounds(
    job: DownloadJob,
    extraction: features.Options,
    max_failed: float,
    rest: list[str],
    destination: Destination,
) -> int:
    fell_short = False
    while True:
        if any(True for _ in job.open_tasks()):
            fell_short |= bool(run_download(job, destination, max_failed))
        if job.store().present():
            fell_short |= bool(features.run(extraction, rest))
        else:
            fell_short |= _record_missing(extraction, destination)
        if job.batch is not None and job.features is not None:
            delete_media(job, job.features)
        if job.batch is None or not any(True for _ in job.open_tasks()):
            return int(fell_short)


def _record_missing(extraction: features.Options, destination: Destination) -> bool:
    """Record why clips are missing after a round that brought no file; True when none is done."""
    job = make_features_job(extraction, need_media=False)
    with locked(job.out):
        job.store().open(job.dataset, job.recipe)
        run_pipeline(lambda pipeline: build(pipeline, job), destination.arguments)
        return not job.store().state().done


def delete_media(job: DownloadJob, out: str) -> int:
    """Remove the files of clips whose features stand in `out`; return how many that were."""
    done = FeatureStore(out).state().done
    keys = sorted(job.store().present() & done)
    files.delete([files.join(job.media, key + SUFFIX) for key in keys])
    _log.info("%d media files removed, their features stand in %s", len(keys), Path(out).name)
    return len(keys)
