"""A features job as a record: what travels to the workers, and how it reads its manifest."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines import files
from pipelines.extraction import Runtime
from pipelines.media.find import MediaIndex
from pipelines.store import FeatureStore
from schemas import Clip, Reason, Recipe
from schemas.manifests import read_manifest


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

    def clips(self) -> Iterator[Clip]:
        """The manifest's clips in order."""
        clips = read_manifest(self.dataset, self.annotations, self.split, repair=self.repair)
        return itertools.islice(clips, self.limit)

    def media_index(self) -> MediaIndex:
        """The files under `media`."""
        return MediaIndex(files.list_folder(self.media))

    def store(self) -> FeatureStore:
        """The store that the job fills."""
        return FeatureStore(self.out)
