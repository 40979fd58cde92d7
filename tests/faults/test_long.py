"""`make test-faults`: as many cases of every family as a budget allows, and the report.

BUDGET_S (1500) seconds, SEED (0), FAMILY (names, comma separated; all), WORKERS (the cores).
With CASE an index of one family is run in this process, so that its traceback can be read.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from tests.bench.machine import describe
from tests.faults import misbehaving
from tests.faults.family import Family, all_families, run_case
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
        show_case(family, SEED, int(CASE), tmp_path)
        return
    machine = describe()
    tallies = Campaign(chosen, SEED, BUDGET_S).run(WORKERS)
    facts = {"seed": SEED, "budget_s": BUDGET_S, "workers": WORKERS, "machine": machine}
    path = tmp_path / "faults.json" if NAMES else BENCHMARKS / "faults.json"
    report = write_report(path, tallies, facts)
    print_table({**report["families"], "total": report["total"]})
    assert {name: tally.unwell[:3] for name, tally in tallies.items() if tally.unwell} == {}


def show_case(family: Family[Any], seed: int, index: int, folder: Path) -> None:
    """Run one case in this process and print how it ended; fail when it did not end well."""
    case = family.make(family.dice(seed, index))
    outcome, detail = run_case(family, case, folder)
    sys.stdout.write(f"{case}\n{outcome}: {detail}\n")
    assert outcome.well, detail


def test_one_case_may_end_as_a_sentence_and_fails_only_where_it_is_not_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {family.name: family for family in misbehaving.FAMILIES}
    show_case(ends["complain"], 8, 0, tmp_path)
    assert "sentence: --limit is -1" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="KeyError: 'audio'"):
        show_case(ends["stumble"], 8, 0, tmp_path)


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """Print the counts, one line a family."""
    table = Table("family", *COLUMNS, box=None)
    for name, counts in rows.items():
        table.add_row(name, *(str(counts[column]) for column in COLUMNS))
    Console(width=110).print(table)
