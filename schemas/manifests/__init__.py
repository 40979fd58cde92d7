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

__all__ = ["DATASETS", "WITH_MEDIA", "read_events", "read_manifest", "vocabulary"]

DATASETS = {
    "demo": "schemas.manifests.demo",
    "llp": "schemas.manifests.llp",  # Tian et al., ECCV 2020
    "audioset": "schemas.manifests.audioset",  # Gemmeke et al., ICASSP 2017
    "dcase2017": "schemas.manifests.dcase2017",  # Mesaros et al., DCASE 2017
    "ave": "schemas.manifests.ave",  # Tian et al., ECCV 2018
    "unav100": "schemas.manifests.unav100",  # Geng et al., CVPR 2023
    "kinetics-instruments": "schemas.manifests.kinetics_instruments",  # Kay et al., 2017
    "esc10": "schemas.manifests.sound_archives.esc10",  # Piczak, ACM Multimedia 2015
    "esc50": "schemas.manifests.sound_archives.esc50",
    "urbansound8k": "schemas.manifests.sound_archives.urbansound8k",  # Salamon et al., 2014
    "folder": "schemas.manifests.folder",
}
"""Every data set and the module that reads it."""
WITH_MEDIA = ("esc10", "esc50", "urbansound8k", "folder")
"""Data sets whose annotations lie in the folder of their media, where no other is given."""


class DatasetReader(Protocol):
    """What the module of a data set offers."""

    @property
    def HOME(self) -> str:  # noqa: N802
        """Where its files come from, for error messages."""

    def read_clips(self, folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
        """Yield the clips of one split or of all."""
        ...

    def read_events(self, folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
        """Yield the dense truth where the data set has it."""
        ...

    def vocabulary(self, folder: Path) -> Vocabulary:
        """Return the class names in order."""
        ...


def reader(dataset: str) -> DatasetReader:
    """Return the module that reads a data set; `UsageError` with a suggestion for none."""
    if dataset not in DATASETS:
        raise UsageError(unknown("data set", dataset, DATASETS))
    return cast(DatasetReader, import_module(DATASETS[dataset]))


def read_manifest(
    dataset: str, annotations_dir: Path | str, split: str | None = None, *, repair: bool = False
) -> Iterator[Clip]:
    """Yield the clips of a data set, one by one, from its original files in `annotations_dir`.

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
    """Yield the dense truth of a data set, event by event; empty where there is none.

    Events are as in the files, also those that match no clip or cover no time; `repair=True`
    leaves these out or mends them. Errors as for `read_manifest`.
    """
    return reader(dataset).read_events(Path(annotations_dir), split, repair)


def vocabulary(dataset: str, annotations_dir: Path | str) -> Vocabulary:
    """Return the class names of a data set, in order; errors as for `read_manifest`."""
    return reader(dataset).vocabulary(Path(annotations_dir))
