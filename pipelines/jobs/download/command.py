"""`beam run download`: its options, the checks before a job, the job, and the summary after it."""

import logging
import shlex
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from extractors.nets.weights import cache_folder
from pipelines.jobs.download.fetch.addresses import check_template, read_site_args
from pipelines.jobs.download.fetch.local_sources import list_locations
from pipelines.jobs.download.fetch.messages import Limits
from pipelines.jobs.download.identity import (
    DEFAULT_PER_HOUR,
    Identity,
    make_identity,
    read_identities,
)
from pipelines.jobs.download.job import YOUTUBE, DownloadJob
from pipelines.jobs.download.pool import SCRATCH_PREFIX
from pipelines.jobs.download.rate_limit import RatePolicy
from pipelines.jobs.download.summary import print_summary
from pipelines.runners.launch import check_out, print_left, read_reasons, run_job
from pipelines.runners.presets import Destination, check_places, choose_destination, find_preset
from pipelines.store import files
from pipelines.store.locking import locked
from pipelines.store.progress import Progress
from pipelines.store.scratch import sweep_scratch_folders
from schemas import UsageError
from schemas.manifests import DATASETS
from schemas.manifests.folder import media_stems
from schemas.messages import unknown

_log = logging.getLogger(__name__)
_WITHOUT_STARTS = {
    "ave": "AVE's annotation files do not say where in its YouTube video a clip starts, so a "
    "download would cut other ten seconds than the annotated ones; get the videos that AVE's "
    "authors publish and give their folder with --source",
    "demo": "the demo world is generated, not downloaded; run beam run features --dataset demo",
    "folder": "data set folder has no YouTube ids; give --source, a mirror or a folder",
}
"""Data sets that cannot be cut out of YouTube videos, and what to do instead."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Fetch the clips of a data set into a folder, for beam run features.

    The same command again fetches only what is missing. Options that are not listed here go to
    Beam. Examples:

    beam run download --dataset llp --annotations LLP/data --media store/llp

    beam run download --dataset llp --media store/llp --identities mine.json --retry network,timeout

    beam run download --dataset llp --media store/llp --source /data/old/llp

    beam run download --dataset llp --media store/llp --source 'https://a.org/{clip_key}.mp4'
    """

    dataset: str = "llp"
    """llp, audioset, dcase2017, ave, kinetics-instruments or folder."""
    media: str | None = None
    """Folder or URI that the clips go to; media/<dataset> when it is left out."""
    annotations: str | None = None
    """Folder with the data set's original annotation files; fetched when it is left out."""
    source: str = YOUTUBE
    """youtube; an http(s) address with {video_id}, {clip_key}, {start}, {end} in it; or a folder, a
    .tar or a .parquet file with the media (a folder may hold all three kinds)."""
    split: str | None = None
    """Only this split of the data set."""
    limit: int | None = None
    """Only the first so many clips of the manifest."""
    repair: bool = False
    """Mend the known defects of released annotation files."""
    retry: str = "passing"
    """Failures to try again: passing, all, none, or reasons separated by commas, such as
    network,rate_limited."""
    cookies: str | None = None
    """Cookies file in Netscape form."""
    proxy: str | None = None
    """Proxy, such as http://host:3128 or socks5://host:1080."""
    user_agent: str | None = None
    """User agent to send."""
    youtube_args: str = ""
    """yt-dlp's extractor arguments for YouTube, such as
    player_client=mweb,tv;formats=missing_pot."""
    identities: str | None = None
    """JSON file with several identities: [{"name", "cookies", "proxy", "user_agent",
    "videos_per_hour"}, ...]; they share the job."""
    videos_per_hour: float | None = None
    """Budget of one identity; left out: 280 for YouTube, none for a mirror. 0 is none."""
    machines: int = 1
    """How many machines use the same identities: each takes its share of the budget."""
    breaker_after: int = 3
    """Bot checks or refusals in a row after which an identity is left alone."""
    breaker_minutes: float = 30.0
    """How long it is left alone at first; twice as long each time that it is still refused."""
    patience_minutes: float = 360.0
    """How long clips wait when every identity is left alone, before they are handed back."""
    state: str | None = None
    """Folder of the budgets, shared by all jobs of this machine; in the cache when left out."""
    height: int = 360
    """Most lines of a video; 0 for no cap. The audio keeps the quality of its source."""
    section_above_mb: float = 50.0
    """Fetch only a section of videos larger than this."""
    max_mb: float = 2048.0
    """Most megabytes that are read for one clip."""
    clip_timeout: float = 300.0
    """Time limit for one try of one clip, in seconds."""
    tries: int = 3
    """How often a clip is tried in one run when the network fails."""
    hosts: str = ""
    """Further hosts that a mirror may lead to, separated by commas."""
    parallel: int = 2
    """Clips that a worker gets side by side."""
    unit_size: int = 32
    """Clips that are committed together."""
    max_failed: float = 1.0
    """Exit with status 1 when a larger share of the clips fails."""
    runner: str = "FnApiRunner"
    """Any Beam runner; DirectRunner means FnApiRunner here."""
    preset: str | None = None
    """dataflow-cpu: fills in Beam's options for Dataflow (docs/dataflow.md)."""


def run(config: Config, rest: list[str]) -> int:
    """Check everything, run the job, print the summary; 0 done, 1 fell short."""
    options = (f"--{name.replace('_', '-')}" for name in Config.__dataclass_fields__)
    preset = find_preset(config.preset, ("dataflow-cpu",))
    destination = choose_destination(config.runner, rest, options, preset)
    if destination.remote:
        check_places({"--media": config.media, "--annotations": config.annotations})
    return run_download(make_job(config), destination, config.max_failed)


def run_download(job: DownloadJob, destination: Destination, max_failed: float) -> int:
    """Run one download job and print what came of it."""
    from pipelines.jobs.download import graph as download

    with locked(job.media, "--media"):
        store = job.store()
        if files.is_local(job.media):
            sweep_scratch_folders(SCRATCH_PREFIX, job.media)
        saved = store.recover_journals()
        if saved:
            _log.info("%d clips of a job that was killed are kept", saved)
        before, started = job.media_state(), time.monotonic()
        with Progress(job.media, "download", lambda: sum(1 for _ in job.open_tasks())):
            run_job(lambda: download.run(job, destination.arguments))
        if destination.leaves:
            return print_left(destination.leaves, job.media)
        return print_summary(job, before, time.monotonic() - started, max_failed)


def make_job(config: Config) -> DownloadJob:
    """The job that a configuration asks for; whatever is wrong with it shows here."""
    if config.dataset not in DATASETS:
        raise UsageError(unknown("data set", config.dataset, DATASETS))
    _check_numbers(config)
    source, hosts, site = _find_source(config)
    media = files.absolute(config.media or f"media/{config.dataset}")
    if media == source:
        raise UsageError(f"--source and --media are both {media}; give another --media")
    job = DownloadJob(
        dataset=config.dataset,
        annotations=_find_annotations(config, source),
        media=media,
        source=source,
        identities=_identities(config, site),
        rate_policy=_rate_policy(config, site),
        hosts=hosts,
        site_args=read_site_args(config.youtube_args),
        limits=Limits(
            height=config.height,
            max_bytes=int(config.max_mb * 2**20),
            timeout_s=config.clip_timeout,
            section_above=int(config.section_above_mb * 2**20),
        ),
        parallel=config.parallel,
        tries=config.tries,
        unit_size=config.unit_size,
        split=config.split,
        limit=config.limit,
        retry=read_reasons(config.retry),
        repair=config.repair,
        command=_command(config),
    )
    _check_clips(job)
    check_out(media, "--media")
    job.store().open(config.dataset, config.height)
    return job


def _check_numbers(config: Config) -> None:
    least = {
        "limit": 1, "machines": 1, "breaker_after": 1, "clip_timeout": 1, "tries": 1,
        "parallel": 1, "unit_size": 1, "breaker_minutes": 0, "patience_minutes": 0, "height": 0,
        "section_above_mb": 0, "max_mb": 0.001,
    }  # fmt: skip
    for name, smallest in least.items():
        value = getattr(config, name)
        if value is not None and not smallest <= value < float("inf"):
            raise UsageError(
                f"--{name.replace('_', '-')} is {value}; it must be at least {smallest}"
            )
    if not 0 <= config.max_failed <= 1:
        raise UsageError(f"--max-failed is {config.max_failed}; it must be a share from 0 to 1")


def _find_source(config: Config) -> tuple[str, tuple[str, ...], str]:
    """The source in full, the hosts that it may ask, and whom its budget is for."""
    more = tuple(host.strip().lower() for host in config.hosts.split(",") if host.strip())
    if config.source == YOUTUBE:
        if config.dataset in _WITHOUT_STARTS:
            raise UsageError(_WITHOUT_STARTS[config.dataset])
        from pipelines.jobs.download.fetch.ytdlp import JAVASCRIPT, YOUTUBE_HOSTS

        if not any(shutil.which(name) for name in JAVASCRIPT):
            _log.warning("yt-dlp needs %s for most formats of YouTube", " or ".join(JAVASCRIPT))
        return YOUTUBE, (*YOUTUBE_HOSTS, *more), YOUTUBE
    if config.source.startswith(("http://", "https://")):
        host = check_template(config.source)
        return config.source, (host, *more), host
    scheme = config.source.partition("://")[0] if "://" in config.source else ""
    if scheme in ("file", "ftp", "data", "concat", "rtmp"):
        raise UsageError(
            f"--source {config.source} is {scheme}://; allowed are youtube, http and https "
            "addresses, and the path of a folder, a .tar or a .parquet file"
        )
    source = files.absolute(config.source)
    if files.is_local(source) and next(list_locations(Path(source)), None) is None:
        raise UsageError(f"--source {config.source} holds no media, tar or Parquet file")
    return source, (), "local"


def _rate_policy(config: Config, site: str) -> RatePolicy:
    state = config.state or str(cache_folder() / "egress")
    return RatePolicy(
        folder=str(Path(state).absolute()),
        site=site,
        patience_s=60 * config.patience_minutes,
        breaker_after=config.breaker_after,
        breaker_s=60 * config.breaker_minutes,
        probe_s=2 * config.clip_timeout,
    )


def _identities(config: Config, site: str) -> tuple[Identity, ...]:
    """The identities with their share of the budget."""
    pace = config.videos_per_hour
    if pace is None:
        pace = DEFAULT_PER_HOUR if site == YOUTUBE else 0.0
    if config.identities is None:
        found: tuple[Identity, ...] = (
            make_identity(config.cookies, config.proxy, config.user_agent, pace),
        )
    elif config.cookies or config.proxy or config.user_agent:
        raise UsageError("--identities already names cookies, proxies and user agents; drop these")
    else:
        found = read_identities(Path(config.identities), pace)
    return tuple(replace(one, per_hour=one.per_hour / config.machines) for one in found)


def _find_annotations(config: Config, source: str) -> str | None:
    if config.annotations is not None:
        return files.absolute(config.annotations)
    if config.dataset in ("folder", "demo"):
        if source.startswith(("http://", "https://")):
            raise UsageError(
                f"data set {config.dataset} with a mirror needs --annotations, the folder with "
                "its labels.csv"
            )
        folder = Path(source)
        listed = files.is_local(source) and folder.is_dir() and media_stems(folder)
        return source if listed else None
    from schemas.manifests.sources import fetch_annotations

    return str(fetch_annotations(config.dataset, cache_folder() / "annotations"))


def _check_clips(job: DownloadJob) -> None:
    """Read the manifest once, so that a bad line shows now."""
    if sum(1 for _ in job.clips()) == 0:
        raise UsageError(f"the manifest of {job.dataset} has no clip")


def _command(config: Config) -> str:
    """The command line without a proxy's password and without tokens."""
    command = shlex.join(["beam", *sys.argv[1:]])
    for secret in filter(None, (config.proxy, config.youtube_args)):
        command = command.replace(secret, "(not shown)")
    return command
