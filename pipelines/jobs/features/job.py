"""A features job as a record: what travels to the workers, and how it reads its manifest."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.jobs.features.worker import Runtime
from pipelines.media.media_index import MediaIndex
from pipelines.runners.versions import Versions
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.media_store import OWN_NAMES
from pipelines.store.receipts import StoreState
from pipelines.store.units import ClipTask, Unit, into_units, open_tasks, repeated_videos
from schemas import Clip, Event, Reason, Recipe, Vocabulary
from schemas.manifests import read_events, read_manifest, vocabulary
from schemas.manifests.folder import LABEL_FILE, bare_clip, classes_of, clip_of_path
from schemas.manifests.subset import of_subset

_KNOWN_NAMES = {LABEL_FILE, *OWN_NAMES}
"""Files and folders in a media folder that a job reads or writes itself."""
NO_ANNOTATIONS = ""
"""Media in a bucket, of data set `folder`, without a folder of labels."""


@dataclass(frozen=True, kw_only=True)
class FeaturesJob:
    """One features job; every worker gets a copy."""

    dataset: str
    annotations: str
    media: str
    out: str
    recipe: Recipe
    runtime: Runtime
    split: str | None = None
    subset: frozenset[str] | None = None
    """Keys of the only clips to take; None for all."""
    limit: int | None = None
    """Only the first so many clips of the manifest."""
    unit_size: int = 16
    """Clips with media that are done and committed together."""
    retry: frozenset[Reason] = frozenset(reason for reason in Reason if reason.retryable)
    """Failures that this run tries again."""
    repair: bool = False
    """Mend known defects of the released annotation files."""
    command: str = ""
    """The command line, for the provenance."""
    accelerator: str = ""
    """The GPU that workers of the extract step are asked for, as Beam's resource hint."""
    launcher: Versions = field(default_factory=Versions.here)
    """What every worker must have too."""

    def clips(self) -> Iterator[Clip]:
        """Yield the manifest's clips in order."""
        clips = self._labelled()
        if self.dataset == "folder" and self.annotations != self.media:
            clips = self._with_unlabelled(clips)
        return itertools.islice(of_subset(clips, self.subset), self.limit)

    def events(self) -> Iterator[Event]:
        """Yield the dense truth of every split, also of those that this run leaves out."""
        if self.annotations == NO_ANNOTATIONS:
            return iter(())
        return read_events(self.dataset, self._annotations(), repair=self.repair)

    def vocabulary(self) -> Vocabulary:
        """Return the class names in order."""
        if self.annotations == NO_ANNOTATIONS:
            return classes_of(self._with_unlabelled(iter(())))
        return vocabulary(self.dataset, self._annotations())

    def _labelled(self) -> Iterator[Clip]:
        if self.annotations == NO_ANNOTATIONS:
            return iter(())
        return read_manifest(self.dataset, self._annotations(), self.split, repair=self.repair)

    def _annotations(self) -> Path:
        return files.local_folder(self.annotations)

    def _with_unlabelled(self, clips: Iterator[Clip]) -> Iterator[Clip]:
        """Yield the labelled clips, then those of media files without a row.

        Where no labels are given at all, the names of folders are labels.
        """
        index, labelled = self.media_index(), set()
        for clip in clips:
            media = index.find(clip)
            if media is not None:
                labelled.add(media.uri)
            yield clip
        make = clip_of_path if self.annotations == NO_ANNOTATIONS else bare_clip
        for name in index.names():
            clip = make(name)
            if index.uri(name) not in labelled and self.split in (None, clip.split):
                yield clip

    def media_index(self) -> MediaIndex:
        """Return the media files by name, without those of stores in the media folder."""
        out = files.join(self.out, "")
        paths = (path for path in files.list_tree(self.media) if not path.startswith(out))
        return MediaIndex(paths, self.media)

    def other_files(self) -> list[str]:
        """Return the files under `media` that are not taken for media, nor an own file of a store.

        The folder of the demo world holds its truth, which this does not count either.
        """
        if self.dataset == "demo":
            return []
        others = self.media_index().others
        return [path for path in others if path.split("/")[0] not in _KNOWN_NAMES]

    def tasks(self, state: StoreState) -> Iterator[ClipTask]:
        """Yield the clips that are left to do, given where every clip of the store stands."""
        repeated = repeated_videos(self.clips())
        return open_tasks(
            self.clips(), self.media_index(), state.done, state.failed, self.retry, repeated
        )

    def units(self) -> Iterator[Unit]:
        """Yield what is left to do in units."""
        return into_units(self.tasks(self.store().state()), self.unit_size)

    def n_open(self, state: StoreState) -> int:
        """Count the clips with media that are left to do."""
        return sum(task.media is not None for task in self.tasks(state))

    def store(self) -> FeatureStore:
        """Return the store that the job fills."""
        return FeatureStore(self.out, self.recipe)
