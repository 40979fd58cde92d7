"""Runs of the baselines that lie beside a run, to be drawn on the same axis."""

from collections.abc import Mapping
from pathlib import Path

from models.contract.report import SplitReport
from models.training import run_folder as runs
from models.training.results import RunResults
from schemas import UsageError

BASELINES = ("video-level", "second-probe")
"""Experiments that know nothing about time (`models.nets.parsing.baseline`)."""


def reports_beside(folder: Path, results: RunResults, split: str) -> Mapping[str, SplitReport]:
    """Return a split's report of each baseline that was run on the same features.

    A baseline is looked for where trainings put it, in `video-level-0` and the like beside the
    run; of several the one that was written last is taken. One of other clips or of another
    recipe is no yardstick.
    """
    found = {}
    for name in BASELINES:
        if name == results.experiment:
            continue
        report = _last(folder, name, results, split)
        if report is not None:
            found[name] = report
    return found


def _last(folder: Path, name: str, results: RunResults, split: str) -> SplitReport | None:
    whole = folder.resolve()
    places = [
        path
        for base in (whole.parent, whole.parent.parent)
        for pattern in (f"{name}-*/{runs.RESULTS}", f"{name}/*/{runs.RESULTS}")
        for path in base.glob(pattern)
    ]
    for path in sorted(places, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            other = RunResults.read(path)
        except UsageError:
            continue  # half a run beside this one
        same = other.experiment == name and _features(other) == _features(results)
        if same and split in other.reports:
            return other.reports[split]
    return None


def _features(results: RunResults) -> tuple[str, str]:
    return results.subset_id, results.features["recipe"]["hash"]
