"""`beam run everything`: the download, then the features, with nothing but storage between them."""

import logging
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from pipelines.jobs.download import command as download_command
from pipelines.jobs.download.job import DownloadJob
from pipelines.jobs.features import command as features_command
from pipelines.runners.launch import run_job
from pipelines.runners.presets import Destination, choose_destination, is_dataflow
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.locking import locked
from pipelines.store.media_store import SUFFIX
from schemas import UsageError
from schemas.clock import utc_stamp

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Config(download_command.Config, features_command.Config):
    """Fetch the clips of a data set and make feature tables from them.

    Options are those of beam run download and beam run features. Killed or stopped, the same
    command goes on where it was. Example:

    beam run everything --dataset llp --annotations LLP/data --out out/llp --delete-media
    """

    dataset: str = "llp"
    """llp, audioset, dcase2017, ave, kinetics-instruments or folder."""
    unit_size: int = 16
    """Clips that are committed together."""
    delete_media: bool = False
    """Remove a clip's file once its features stand; its record and its sha256 stay."""
    batch: int = 512
    """With --delete-media: so many clips are fetched, then worked on, then removed."""


def run(config: Config, rest: list[str]) -> int:
    """Download, features, and so on until nothing is left; 1 when either fell short."""
    if config.dataset == "demo":
        raise UsageError("the demo world needs no download; run beam run features --dataset demo")
    if config.batch < 1:
        raise UsageError(f"--batch is {config.batch}; it must be at least 1")
    options = (f"--{name.replace('_', '-')}" for name in Config.__dataclass_fields__)
    if config.preset is not None or is_dataflow(config.runner):
        raise UsageError(
            "beam run everything works in rounds on this machine; for Dataflow give first beam run "
            "download --preset dataflow-cpu, then beam run features --preset dataflow-gpu"
        )
    destination = choose_destination(config.runner, rest, options)
    media = config.media or f"media/{config.dataset}"
    out = files.absolute(config.out or f"out/{config.dataset}")
    config = replace(config, media=media)
    wanted = download_command.make_job(_part(config, download_command.Config))
    job = replace(
        wanted,
        features=out,
        batch=config.batch if config.delete_media else None,
        not_since=utc_stamp(),
    )
    features = _part(config, features_command.Config)
    features = replace(features, annotations=job.annotations or features.annotations)
    fell_short = False
    while True:
        if any(True for _ in job.open_tasks()):
            fell_short |= bool(download_command.run_download(job, destination, config.max_failed))
        if job.store().present():
            fell_short |= bool(features_command.run(features, rest))
        else:
            _count_again(features, destination)
        if config.delete_media:
            delete_media(job, out)
        if not config.delete_media or not any(True for _ in job.open_tasks()):
            return int(fell_short)


def _count_again(features: features_command.Config, destination: Destination) -> None:
    """A round that brought no file leaves its mark too: why the clips are missing."""
    from pipelines.jobs.features import graph as features_job

    job = features_command.make_job(features, need_media=False)
    with locked(job.out):
        run_job(lambda: features_job.run(job, destination.arguments))


def delete_media(job: DownloadJob, out: str) -> int:
    """Remove the files of clips whose features stand in `out`; how many that were."""
    done = FeatureStore(out).state().done
    keys = sorted(job.store().present() & done)
    files.delete([files.join(job.media, key + SUFFIX) for key in keys])
    _log.info("%d media files removed, their features stand in %s", len(keys), Path(out).name)
    return len(keys)


def _part(config: Config, kind: type[T]) -> T:
    """The options of one of the two commands."""
    wanted: Any = kind
    return kind(**{field.name: getattr(config, field.name) for field in fields(wanted)})
