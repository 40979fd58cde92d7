"""`make test-faults`: as many cases of every family as a budget allows, and the report.

BUDGET_S (1500) seconds, SEED (0), FAMILY (names, comma separated; all), WORKERS (the cores).
With CASE an index of one family is run in this process, so that its traceback can be read.
"""

import os
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.bench.machine import describe
from tests.faults.family import all_families
from tests.faults.runner import Campaign, write_report
from tests.places import BENCHMARKS

SEED = int(os.environ.get("SEED") or 0)
BUDGET_S = float(os.environ.get("BUDGET_S") or 1500)
WORKERS = int(os.environ.get("WORKERS") or os.cpu_count() or 1)
NAMES = [name for name in os.environ.get("FAMILY", "").split(",") if name]
CASE = os.environ.get("CASE", "")
COLUMNS = ("tried", "ended_well", "crashes", "hangs", "leaks", "wrong_rows", "seconds")


@pytest.mark.faults
def test_every_case_ends_well(tmp_path: Path) -> None:
    families = all_families()
    chosen = {name: families[name] for name in NAMES or sorted(families)}
    if CASE:
        ((_, family),) = chosen.values()
        case = family.make(family.dice(SEED, int(CASE)))
        assert family.run(case, tmp_path).well, case
        return
    machine = describe()
    tallies = Campaign(chosen, SEED, BUDGET_S).run(WORKERS)
    facts = {"seed": SEED, "budget_s": BUDGET_S, "workers": WORKERS, "machine": machine}
    path = tmp_path / "faults.json" if NAMES else BENCHMARKS / "faults.json"
    report = write_report(path, tallies, facts)
    print_table({**report["families"], "total": report["total"]})
    assert {name: tally.unwell[:3] for name, tally in tallies.items() if tally.unwell} == {}


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """Print the counts, one line a family."""
    table = Table("family", *COLUMNS, box=None)
    for name, counts in rows.items():
        table.add_row(name, *(str(counts[column]) for column in COLUMNS))
    Console(width=110).print(table)
