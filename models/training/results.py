"""What a trained net is worth: its scores on each split, and what they may be compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from models.contract.card import Experiment, ModelCard
from models.contract.report import PARTS, Scores, SplitReport, Thresholds
from models.data.source import ClipSource
from models.runtime import files
from schemas import StoreManifest, UsageError
from schemas.messages import printable

KINDS: Mapping[str, type | tuple[type, ...]] = {
    "experiment": str, "model": str, "paper": dict, "metrics": dict, "features": dict,
    "caveats": list, "kept_epoch": int, "history": list, "seed": int, "seconds": (int, float),
}  # fmt: skip
"""Fields of `results.json` that every run has, and what they hold."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of a net on some splits, and what they may be compared with."""

    experiment: str
    """Name of the experiment."""
    paper: Mapping[str, Any]
    """The paper and its rows (`paper_entry`)."""
    reports: Mapping[str, SplitReport]
    """Split to what is reported about it."""
    features: Mapping[str, Any]
    """Where the features come from (`describe`)."""
    caveats: tuple[str, ...]
    """Reasons why the scores cannot be compared with the paper's."""

    @property
    def subset_id(self) -> str:
        """Hash of the clips of the store."""
        return str(self.features["subset_id"])

    def to_json(self) -> dict[str, Any]:
        """Return every field, each part of the reports by split."""
        reports = {split: report.to_json() for split, report in self.reports.items()}
        parts = {
            part: {split: report[part] for split, report in reports.items() if part in report}
            for part in ("metrics", *PARTS)
        }
        return {
            "experiment": self.experiment,
            "paper": self.paper,
            **parts,
            "features": self.features,
            "subset_id": self.subset_id,
            "caveats": list(self.caveats),
        }


@dataclass(frozen=True, kw_only=True)
class RunResults(Evaluation):
    """What `results.json` of a run holds; its only writer and its only reader."""

    model: str
    """Name of the net in the registry."""
    thresholds: Thresholds | None
    """What the task tuned, if it tunes something."""
    kept_epoch: int
    """Epoch whose weights are kept."""
    history: Sequence[Mapping[str, float]]
    """One line per epoch."""
    seed: int
    """Seed of the training."""
    seconds: float
    """Seconds that the training took."""

    def to_json(self) -> dict[str, Any]:
        """Return every field, ready for JSON."""
        tuned = {} if self.thresholds is None else {"thresholds": self.thresholds.to_json()}
        return {
            **tuned,
            "model": self.model,
            **super().to_json(),
            "kept_epoch": self.kept_epoch,
            "history": list(self.history),
            "seed": self.seed,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the results back from `to_json`; LookupError, TypeError, ValueError for others."""
        for name, kind in KINDS.items():
            if not isinstance(data[name], kind) or isinstance(data[name], bool):
                raise TypeError(f"{name} is {printable(repr(data[name]), 60)}")
        if "subset_id" not in data["features"]:
            raise KeyError("subset_id")
        parts = {part: dict(data.get(part) or {}) for part in ("metrics", *PARTS)}
        reports = {
            split: SplitReport.from_json(
                {part: by_split[split] for part, by_split in parts.items() if split in by_split}
            )
            for split in parts["metrics"]
        }
        tuned = data.get("thresholds")
        return cls(
            experiment=data["experiment"],
            paper=data["paper"],
            reports=reports,
            features=data["features"],
            caveats=tuple(map(str, data["caveats"])),
            model=data["model"],
            thresholds=None if tuned is None else Thresholds.from_json(tuned),
            kept_epoch=data["kept_epoch"],
            history=data["history"],
            seed=data["seed"],
            seconds=data["seconds"],
        )

    def write(self, path: Path) -> None:
        """Write `results.json`, whole."""
        files.write_json(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `results.json`; `UsageError` when it is missing or holds something else."""
        data = files.read_json(path, "no finished training")
        try:
            return cls.from_json(data)
        except KeyError as error:
            raise UsageError(
                f"{path} has no {error.args[0]!r}, so it holds no results of models/train.py; "
                "train the run again"
            ) from None
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise UsageError(
                f"{path} holds no results of models/train.py ({printable(str(error), 200)}); "
                "train the run again"
            ) from None


def describe(data: ClipSource) -> dict[str, Any]:
    """Return where the features come from, as it stands in `results.json`."""
    names, counts = np.unique(data.splits, return_counts=True)
    recipe = data.manifest.data["recipe"]
    return {
        "dataset": data.manifest.dataset,
        "subset_id": data.scored_subset,
        **({"truth": data.truth_edition} if data.truth_edition else {}),
        "clips": {str(name) or "none": int(n) for name, n in zip(names, counts, strict=True)},
        "recipe": {name: recipe.get(name) for name in ("name", "hash", "weights")},
        "coverage": coverage(data.manifest),
    }


def coverage(manifest: StoreManifest) -> dict[str, Any]:
    """Return each split's `clips`, `present` and `missing` by reason; empty when not counted."""
    counted = manifest.coverage
    if not counted or counted.get("subset_id") != manifest.subset_id:
        return {}
    shares = {
        split: {name: share[name] for name in ("clips", "present", "missing")}
        for split, share in counted["splits"].items()
    }
    return {"date": counted["date"], "splits": shares}


def paper_entry(card: ModelCard, experiment: Experiment) -> dict[str, Any]:
    """Return the paper and its numbers, as they stand in `results.json`."""
    rows = [
        {"paper": row.paper, "table": row.table, "row": row.row, "numbers": dict(row.numbers)}
        for row in experiment.rows
    ]
    return {"title": card.title, "authors": card.paper, "url": card.url, "rows": rows}


def spread(values: Sequence[Scores]) -> dict[str, dict[str, float]]:
    """Return mean and sample standard deviation of each score over several seeds."""
    table: dict[str, list[float]] = {}
    for name in values[0]:
        column = [value for scores in values if (value := scores.get(name)) is not None]
        if len(column) == len(values):
            table[name] = column
    return {
        name: {
            "mean": float(np.mean(column)),
            "std": float(np.std(column, ddof=1)) if len(column) > 1 else 0.0,
        }
        for name, column in table.items()
    }
