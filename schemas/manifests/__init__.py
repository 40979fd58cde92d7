"""Readers of the data sets' original annotation files, one module for each data set."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from schemas.clip import Clip
from schemas.events import Event
from schemas.failure import UsageError
from schemas.labels import Vocabulary
from schemas.messages import unknown

__all__ = ["DATASETS", "read_events", "read_manifest", "vocabulary"]

DATASETS = {
    "demo": "schemas.manifests.demo",
    "llp": "schemas.manifests.llp",  # Tian et al., ECCV 2020
    "audioset": "schemas.manifests.audioset",  # Gemmeke et al., ICASSP 2017
    "dcase2017": "schemas.manifests.dcase2017",  # Mesaros et al., DCASE 2017
    "ave": "schemas.manifests.ave",  # Tian et al., ECCV 2018
    "kinetics-instruments": "schemas.manifests.kinetics_instruments",  # Kay et al., 2017
    "folder": "schemas.manifests.folder",
}
"""Every data set and the module that reads it."""


class DatasetReader(Protocol):
    """What the module of a data set offers."""

    @property
    def HOME(self) -> str:  # noqa: N802
        """Where its files come from, for error messages."""

    def read_clips(self, folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
        """Clips of one split or of all."""
        ...

    def read_events(self, folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
        """Second-wise truth where the data set has it."""
        ...

    def vocabulary(self, folder: Path) -> Vocabulary:
        """Class names in order."""
        ...


def reader(dataset: str) -> DatasetReader:
    """The module that reads a data set; `UsageError` with a suggestion for an unknown name."""
    if dataset not in DATASETS:
        raise UsageError(unknown("data set", dataset, DATASETS))
    return cast(DatasetReader, import_module(DATASETS[dataset]))


def read_manifest(
    dataset: str, annotations_dir: Path | str, split: str | None = None, *, repair: bool = False
) -> Iterator[Clip]:
    """Clips of a data set, one by one, from its original files in `annotations_dir`.

    `split=None` gives every split in turn; keys do not repeat. `repair=True` mends the known
    defects of the released files, which the module of the data set lists; published numbers are
    with the defects. For `folder`, `annotations_dir` is the folder of media files.

    `UsageError` for an unknown data set or split and for a missing file comes with the call, for
    an unreadable line with the reading.
    """
    return reader(dataset).read_clips(Path(annotations_dir), split, repair)


def read_events(
    dataset: str, annotations_dir: Path | str, split: str | None = None, *, repair: bool = False
) -> Iterator[Event]:
    """Second-wise truth of a data set, one event after the other; empty where there is none.

    Events are as in the files, also those that match no clip or cover no time; `repair=True`
    leaves these out or mends them. Errors as for `read_manifest`.
    """
    return reader(dataset).read_events(Path(annotations_dir), split, repair)


def vocabulary(dataset: str, annotations_dir: Path | str) -> Vocabulary:
    """Class names of a data set in the order of its arrays; errors as for `read_manifest`."""
    return reader(dataset).vocabulary(Path(annotations_dir))
