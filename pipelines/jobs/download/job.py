"""A download job as a record: what travels to the workers, and what is left to do."""

import itertools
import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.jobs.download.command import YOUTUBE
from pipelines.jobs.download.fetch.addresses import mirror_extent
from pipelines.jobs.download.fetch.local_sources import list_locations
from pipelines.jobs.download.fetch.messages import Limits, SourceKind
from pipelines.jobs.download.identity import Identity
from pipelines.jobs.download.rate_limit import RatePolicy
from pipelines.media.media_index import MediaFile, MediaIndex
from pipelines.runners.versions import Versions
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.media_store import MediaState, MediaStore
from pipelines.store.units import (
    ClipTask,
    Unit,
    into_units,
    into_units_by_video,
    repeated_videos,
)
from schemas import Clip, Reason
from schemas.manifests import read_manifest
from schemas.manifests.subset import of_subset

WITHOUT_START_TIMES = frozenset({"ave"})
"""Data sets that do not say where in its video a clip starts: their media are the clips."""


@dataclass(frozen=True, kw_only=True)
class DownloadJob:
    """One download job; every worker gets a copy."""

    dataset: str
    annotations: str | None
    """Folder of annotation files; None for clips that the source itself lists."""
    media: str
    """The media store."""
    source: str
    """`youtube`, the address of a mirror with fields in braces, or a path or URI."""
    identities: tuple[Identity, ...]
    rate_policy: RatePolicy
    hosts: tuple[str, ...]
    """Hosts that may be asked."""
    site_args: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """yt-dlp's extractor arguments for YouTube."""
    yt_dlp: str | None = None
    """Version of yt-dlp that fetches; None for the one that is installed."""
    impersonate: str | None = None
    """Browser that yt-dlp is to look like."""
    sabr: bool = False
    """Whether yt-dlp's downloader for SABR may be used."""
    keep_going: bool = False
    """Whether a job goes on whose first videos all meet the same obstacle."""
    allow_playlists: bool = False
    """Whether HLS playlists of a mirror are followed."""
    limits: Limits = field(default_factory=Limits)
    parallel: int = 2
    """Clips that one worker fetches at the same time."""
    tries: int = 3
    """How often a clip is tried in one run when the network fails."""
    first_pause_s: float = 1.0
    """Mean pause before the second try, in seconds; doubled before each further one."""
    unit_size: int = 32
    split: str | None = None
    subset: frozenset[str] | None = None
    """Keys of the only clips to take; None for all."""
    limit: int | None = None
    retry: frozenset[Reason] = frozenset(reason for reason in Reason if reason.retryable)
    repair: bool = False
    command: str = ""
    launcher: Versions = field(default_factory=Versions.here)
    """Versions that every worker must have too."""
    features: str | None = None
    """Feature store; clips whose features it holds need no file any more."""
    batch: int | None = None
    """Only this many of the clips that are left to do."""
    not_since: str = ""
    """A failure from this moment on (ISO 8601) is not tried again."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Name of this run of the job; all its workers and rounds share it."""

    @property
    def source_kind(self) -> SourceKind:
        """Return what sort of source it is."""
        if self.source == YOUTUBE:
            return "youtube"
        return "mirror" if self.source.startswith(("http://", "https://")) else "files"

    @property
    def fetches_videos(self) -> bool:
        """Tell whether all clips of a video come out of one thing at the source."""
        of_mirror = self.source_kind == "mirror" and mirror_extent(self.source) == "either"
        return self.source_kind == "youtube" or of_mirror

    @property
    def first_videos(self) -> Path:
        """Return the file in which the workers of a machine count the run's first videos."""
        return Path(self.rate_policy.folder, f"first-videos-{self.run}")

    def store(self) -> MediaStore:
        """Return the store that the job fills."""
        return MediaStore(self.media)

    def clips(self) -> Iterator[Clip]:
        """Yield the manifest's clips in order."""
        if self.annotations is not None:
            folder = files.local_folder(self.annotations)
            clips = read_manifest(self.dataset, folder, self.split, repair=self.repair)
        else:
            stems = sorted(dict(self.locations()))
            clips = (Clip(stem, 0.0, math.inf, name=stem) for stem in stems)
        return itertools.islice(of_subset(clips, self.subset), self.limit)

    def locations(self) -> Iterator[tuple[str, str]]:
        """Yield stem and location of every file of a source on this machine or in a bucket."""
        if self.source_kind != "files":
            return iter(())
        if files.is_local(self.source):
            return list_locations(Path(self.source))
        index = MediaIndex(files.list_folder(self.source), self.source)
        return ((name, index.uri(name)) for name in index.names())

    def media_state(self) -> MediaState:
        """Return which clips are done and which have failed."""
        kept: frozenset[str] = frozenset()
        if self.features is not None:
            kept = FeatureStore(self.features).state().done
        return self.store().media_state(kept)

    def open_tasks(self) -> Iterator[ClipTask]:
        """Yield what is left: clips without a file whose failure, if any, is to be retried."""
        return itertools.islice(self._open_tasks(), self.batch)

    def _open_tasks(self) -> Iterator[ClipTask]:
        state = self.media_state()
        locations: dict[str, str] = {}
        for stem, uri in self.locations():
            locations.setdefault(stem, uri)
        repeated = repeated_videos(self.clips())
        for clip in self.clips():
            failure = state.failed.get(clip.key)
            if clip.key in state.done or (
                failure
                and (failure.reason not in self.retry or failure.at >= (self.not_since or "~"))
            ):
                continue
            location = locations.get(clip.key) or locations.get(clip.video_id)
            missing = failure is not None and failure.reason is Reason.NOT_FOUND
            if missing and self.source_kind == "files" and not location:
                continue
            yield ClipTask(
                clip,
                MediaFile(location, cut=clip.key in locations) if location else None,
                state.attempts[clip.key] + 1,
                clip.video_id in repeated,
            )

    def units(self) -> Iterator[Unit]:
        """Yield what is left in units, clips of one video together.

        Of files, clips that the source lacks stand apart, by the thousand.
        """
        group = into_units if self.source_kind == "files" else into_units_by_video
        yield from group(self.open_tasks(), self.unit_size)
