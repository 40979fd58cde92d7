"""How many processes the tests have killed, by test: what `make test-kills` writes down."""

import json
import os
from collections import Counter

from tests.places import BENCHMARKS

_kills: Counter[str] = Counter()


def count_kill() -> None:
    """Count one process that the running test has killed."""
    test, _, _ = os.environ["PYTEST_CURRENT_TEST"].partition(" ")
    _kills[test.partition("[")[0]] += 1


def write_kills() -> None:
    """Write `docs/benchmarks/kills.json`; for a session in which every test has passed."""
    from tests.bench.machine import describe  # torch: seconds that most sessions need not

    report = {
        "what": "processes killed by SIGKILL at a change of the disk; whatever followed was equal",
        "machine": describe(),
        "kills": _kills.total(),
        "by_test": dict(sorted(_kills.items())),
    }
    (BENCHMARKS / "kills.json").write_text(json.dumps(report, indent=1) + "\n")
