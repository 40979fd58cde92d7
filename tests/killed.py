"""Processes that tests kill, by family: what `make test-kills` writes down."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

FAMILIES = {
    "tests/pipelines/jobs/features": "features jobs",
    "tests/pipelines/jobs/download": "downloads",
    "tests/pipelines/jobs/pack": "packs",
    "tests/pipelines/commands/test_import_npy": "imports",
    "tests/pipelines/store": "commits, manifests, labels, journals",
    "tests/models/training": "trainings",
}
"""What is killed, by the place of the test."""

_tried: Counter[str] = Counter()
_equal: Counter[str] = Counter()


def _family() -> str:
    test = os.environ["PYTEST_CURRENT_TEST"]
    return next(family for place, family in FAMILIES.items() if test.startswith(place))


def count_kill() -> None:
    """Count one process that the running test has killed with SIGKILL."""
    _tried[_family()] += 1


def count_equal(kills: int = 1) -> None:
    """Count kills after which the running test has found everything equal."""
    _equal[_family()] += kills


def report() -> dict[str, Any]:
    """Return how many were killed and ended equal, by family and in all."""
    families = {
        family: {"tried": _tried[family], "equal": _equal[family]} for family in sorted(_tried)
    }
    return {"tried": _tried.total(), "equal": _equal.total(), "families": families}


def write_report(path: Path) -> None:
    """Write the counts of this session."""
    from tests.bench.machine import describe  # torch: seconds that most sessions need not

    what = "processes killed by SIGKILL at a change of the disk; equal: what followed ended as ever"
    path.write_text(json.dumps({"what": what, "machine": describe(), **report()}, indent=1) + "\n")
