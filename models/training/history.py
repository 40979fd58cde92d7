"""`history.csv` of a run: what every epoch brought, written as the training goes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.runtime import files


def write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write one row per epoch, whole: epoch, rate, loss terms, validation scores.

    A cell is empty where an epoch has no such value; numbers read back as they were.
    """
    columns = list(dict.fromkeys(name for line in history for name in line))
    rows = ([line.get(name, "") for name in columns] for line in history)
    files.write_csv(path, [columns, *rows])
