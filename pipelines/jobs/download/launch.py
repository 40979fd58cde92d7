"""From the options of a download job to its end: what can be wrong with them shows here."""

import functools
import logging
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from pipelines.jobs.download.command import YOUTUBE, Options
from pipelines.jobs.download.fetch.addresses import check_template, read_hosts, read_site_args
from pipelines.jobs.download.fetch.local_sources import list_locations
from pipelines.jobs.download.fetch.messages import Limits
from pipelines.jobs.download.graph import build
from pipelines.jobs.download.identity import (
    DEFAULT_PER_HOUR,
    Identity,
    make_identity,
    read_identities,
)
from pipelines.jobs.download.job import DownloadJob
from pipelines.jobs.download.pool import SCRATCH_PREFIX
from pipelines.jobs.download.rate_limit import RatePolicy
from pipelines.jobs.download.summary import print_summary
from pipelines.jobs.download.ytdlp_version import check_ytdlp
from pipelines.jobs.options import check_dataset, read_reasons, read_subset_option
from pipelines.runners.launch import check_out, run_to_end
from pipelines.runners.presets import Destination, check_reachable, choose_destination
from pipelines.store import files
from pipelines.store.interrupts import released_on_signals
from pipelines.store.locking import locked
from pipelines.store.scratch import sweep_scratch_folders
from schemas import UsageError
from schemas.manifests.folder import media_names
from schemas.published import cache_folder
from schemas.secrets import redact_address, redact_command

_log = logging.getLogger(__name__)
PRESETS = ("dataflow-cpu",)
"""Presets that a download can take: it has no use for a GPU."""
_WITHOUT_STARTS = {
    "ave": "AVE's annotation files do not say where in its YouTube video a clip starts, so a "
    "download would cut other ten seconds than the annotated ones; get the videos that AVE's "
    "authors publish and give their folder with --source",
    "demo": "the demo world is generated, not downloaded; run beam run features --dataset demo",
    "folder": "data set folder has no YouTube ids; give --source, a mirror or a folder",
    **{
        name: f"data set {name} is an archive, not a list of videos; unpack it and give its folder "
        "to beam run features with --media"
        for name in ("esc10", "esc50", "urbansound8k")
    },
}
"""Data sets that cannot be cut out of YouTube videos, and what to do instead."""


def launch(options: Options, rest: list[str]) -> int:
    """Check everything, run the job, print the summary; 0 done, 1 fell short."""
    destination = choose_destination(options.runner, rest, options.preset, presets=PRESETS)
    if destination.remote:
        check_reachable({"--media": options.media, "--annotations": options.annotations})
    job = make_job(options)
    try:
        return run_download(job, destination, options.max_failed)
    finally:
        job.first_videos.unlink(missing_ok=True)


def run_download(job: DownloadJob, destination: Destination, max_failed: float) -> int:
    """Run one download job and print what came of it."""
    scratch = job.media if files.is_local(job.media) else None
    sweep = functools.partial(sweep_scratch_folders, SCRATCH_PREFIX, scratch)
    with locked(job.media, "--media"), released_on_signals(functools.partial(sweep, own=True)):
        sweep()
        store = job.store()
        store.open(job.dataset, job.limits.height)
        saved = store.recover_journals()
        if saved:
            _log.info("%d clips of a job that was killed are kept", saved)
        before, started = job.media_state(), time.monotonic()
        ended = run_to_end(
            lambda pipeline: build(pipeline, job), destination,
            store=job.media, label="download", count=lambda: sum(1 for _ in job.open_tasks()),
        )  # fmt: skip
        if not ended:
            return 0
        return print_summary(job, before, time.monotonic() - started, max_failed)


def make_job(options: Options) -> DownloadJob:
    """Return the job that the options ask for; `UsageError` for whatever is wrong with them."""
    check_dataset(options.dataset)
    source, hosts, site = _find_source(options)
    media = files.absolute(options.media or f"media/{options.dataset}")
    if media == source:
        raise UsageError(f"--source and --media are both {media}; give another --media")
    job = DownloadJob(
        dataset=options.dataset, annotations=_find_annotations(options, source),
        media=media, source=source,
        identities=_client(options, site),
        rate_policy=_rate_policy(options, site),
        hosts=hosts,
        site_args=read_site_args(options.youtube_args),
        yt_dlp=options.yt_dlp,
        impersonate=options.impersonate,
        sabr=options.sabr,
        keep_going=options.keep_going,
        allow_playlists=options.allow_playlists,
        limits=Limits(
            height=options.height,
            max_bytes=int(options.max_mb * 2**20),
            timeout_s=options.clip_timeout,
            section_above=int(options.section_above_mb * 2**20),
        ),
        parallel=options.parallel,
        tries=options.tries,
        first_pause_s=options.retry_pause,
        unit_size=options.unit_size,
        split=options.split,
        subset=read_subset_option(options.subset),
        limit=options.limit,
        retry=read_reasons(options.retry),
        repair=options.repair,
        command=redact_command(["beam", *sys.argv[1:]]),
    )  # fmt: skip
    _check_clips(job)
    check_out(media, "--media")
    return job


def _find_source(options: Options) -> tuple[str, tuple[str, ...], str]:
    """Return the source in full, the hosts that it may ask, and the site that its budget is for."""
    if options.allow_playlists and not options.source.startswith((YOUTUBE, "http")):
        raise UsageError("--allow-playlists is for a mirror: give --source an http(s) address")
    more = read_hosts(options.hosts)
    if options.source == YOUTUBE:
        if options.dataset in _WITHOUT_STARTS:
            raise UsageError(_WITHOUT_STARTS[options.dataset])
        from pipelines.jobs.download.fetch.ytdlp import JAVASCRIPT, YOUTUBE_HOSTS

        if not any(shutil.which(name) for name in JAVASCRIPT):
            _log.warning("yt-dlp needs %s for most formats of YouTube", " or ".join(JAVASCRIPT))
        return YOUTUBE, (*YOUTUBE_HOSTS, *more), YOUTUBE
    if options.source.startswith(("http://", "https://")):
        host, ports = check_template(options.source)
        return options.source, (*(f"{host}:{port}" for port in ports), *more), host
    scheme = options.source.partition("://")[0] if "://" in options.source else ""
    if scheme in ("file", "ftp", "data", "concat", "rtmp"):
        raise UsageError(
            f"--source {redact_address(options.source)} is {scheme}://; allowed are youtube, http "
            "and https addresses, and the path of a folder, a .tar or a .parquet file"
        )
    source = files.absolute(options.source)
    if files.is_local(source) and next(list_locations(Path(source)), None) is None:
        raise UsageError(f"--source {options.source} holds no media, tar or Parquet file")
    return source, (), "local"


def _client(options: Options, site: str) -> tuple[Identity, ...]:
    """Return the identities, once the yt-dlp that is to fetch can do what is asked of it."""
    identities = _identities(options, site)
    asked = {
        "--yt-dlp": options.yt_dlp is not None,
        "--impersonate": options.impersonate is not None,
        "--sabr": options.sabr,
    }
    first = next((name for name, given in asked.items() if given), None)
    if first is not None and options.source != YOUTUBE:
        raise UsageError(f"{first} is for --source youtube; leave it out")
    if options.impersonate is not None and any(one.user_agent for one in identities):
        raise UsageError(
            "--impersonate sends the user agent of its browser; drop --user-agent, and user_agent "
            "of --identities"
        )
    check_ytdlp(options.yt_dlp, sabr=options.sabr, impersonate=options.impersonate)
    return identities


def _rate_policy(options: Options, site: str) -> RatePolicy:
    state = options.state or str(cache_folder() / "egress")
    return RatePolicy(
        folder=str(Path(state).absolute()),
        site=site,
        patience_s=60 * options.patience_minutes,
        breaker_after=options.breaker_after,
        breaker_s=60 * options.breaker_minutes,
        probe_s=2 * options.clip_timeout,
    )


def _identities(options: Options, site: str) -> tuple[Identity, ...]:
    """Return the identities with their share of the budget."""
    pace = options.videos_per_hour
    if pace is None:
        pace = DEFAULT_PER_HOUR if site == YOUTUBE else 0.0
    if options.identities is None:
        single = make_identity(options.cookies, options.proxy, options.user_agent, pace)
        identities: tuple[Identity, ...] = (single,)
    elif options.cookies or options.proxy or options.user_agent:
        raise UsageError("--identities already names cookies, proxies and user agents; drop these")
    else:
        identities = read_identities(Path(options.identities), pace)
    return tuple(
        replace(identity, per_hour=identity.per_hour / options.machines) for identity in identities
    )


def _find_annotations(options: Options, source: str) -> str | None:
    if options.annotations is not None:
        return files.absolute(options.annotations)
    if options.dataset in ("folder", "demo"):
        if source.startswith(("http://", "https://")):
            raise UsageError(
                f"data set {options.dataset} with a mirror needs --annotations, the folder with "
                "its labels.csv"
            )
        folder = Path(source)
        listed = files.is_local(source) and folder.is_dir() and media_names(folder)
        return source if listed else None
    from schemas.manifests.sources import fetch_annotations

    return str(fetch_annotations(options.dataset, cache_folder() / "annotations"))


def _check_clips(job: DownloadJob) -> None:
    """Read the manifest once, so that a bad line shows now."""
    if sum(1 for _ in job.clips()) == 0:
        named = " that --subset names" if job.subset is not None else ""
        raise UsageError(f"the manifest of {job.dataset} has no clip{named}")
