"""The frame itself: what ends badly is seen and counted, and the next case goes on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults import misbehaving
from tests.faults.family import Family, Outcome, holds
from tests.faults.runner import Campaign, Child, Result, Tally, write_report

MODULE = misbehaving.__name__
FAMILIES: dict[str, Family[Any]] = {family.name: family for family in misbehaving.FAMILIES}


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """One process for all cases that may end badly."""
    child = Child()
    yield child
    child.close()


@pytest.mark.parametrize(
    ("name", "outcome", "detail"),
    [
        ("stumble", Outcome.TRACEBACK, "KeyError: 'audio'"),
        ("devour", Outcome.MEMORY, "MemoryError"),
        ("hang", Outcome.HANG, "no answer within 3 s"),
        ("die", Outcome.DEATH, "SIGSEGV"),
        ("leave_child", Outcome.LEAK, "child processes left behind"),
        ("ramble", Outcome.UNREADABLE, "xxx"),
        ("complain", Outcome.SENTENCE, "--limit is -1"),
        ("fail", Outcome.FAILURE, "corrupt: no moov atom"),
    ],
)
def test_every_end_is_told_apart(child: Child, name: str, outcome: Outcome, detail: str) -> None:
    child.run(MODULE, FAMILIES["complain"], 0, 0)  # the child is up, so that only the case counts
    result = child.run(MODULE, FAMILIES[name], 0, 0)
    assert result.outcome is outcome
    assert detail in result.detail


def test_campaign_counts_and_goes_on_after_a_death(tmp_path: Path) -> None:
    chosen = {
        name: (MODULE, Family(name, family.make, family.run, most=2))
        for name, family in FAMILIES.items()
        if name in ("die", "complain", "fail")
    }
    tallies = Campaign(chosen, seed=1, budget_s=60).run(workers=1)
    report = write_report(tmp_path / "faults.json", tallies, {"seed": 1})
    assert report["total"]["tried"] == 6
    assert report["total"]["ended_well"] == 4
    assert report["families"]["die"]["crashes"] == 2
    assert report["families"]["fail"]["failures"] == 2
    assert [case["index"] for case in report["families"]["die"]["unwell"]] == [0, 1]


def test_budget_ends_a_campaign() -> None:
    chosen = {"complain": (MODULE, FAMILIES["complain"])}
    assert Campaign(chosen, seed=1, budget_s=0).run(workers=1)["complain"].outcomes.total() == 0


def test_family_of_more_weight_gets_more_of_the_time() -> None:
    chosen = {
        name: (MODULE, replace(FAMILIES["complain"], name=name, weight=weight))
        for name, weight in (("light", 1.0), ("heavy", 3.0))
    }
    campaign = Campaign(chosen, seed=1, budget_s=60)
    for _ in range(40):
        given = campaign._next()
        assert given is not None
        campaign.tallies[given[0]].add(given[1], Result(Outcome.ROWS, "", 1.0))
    assert campaign.tallies["heavy"].started == 3 * campaign.tallies["light"].started


def test_report_keeps_the_last_line_of_a_traceback_alone() -> None:
    tally = Tally()
    tally.add(0, Result(Outcome.TRACEBACK, f"Traceback\n  File /some/where\n{'x' * 999}\n", 0.5))
    (case,) = tally.to_json()["unwell"]
    assert len(case["detail"]) == 300
    assert "/some/where" not in case["detail"]


def test_tally_names_what_did_not_end_well() -> None:
    tally = Tally()
    tally.add(0, Result(Outcome.ROWS, "", 0.5))
    tally.add(1, Result(Outcome.WRONG_ROWS, "two clips of one key", 0.5))
    counts = tally.to_json()
    assert (counts["tried"], counts["ended_well"], counts["wrong_rows"]) == (2, 1, 1)
    assert counts["unwell"][0]["index"] == 1


def test_secret_is_found_in_texts_names_and_bytes(tmp_path: Path) -> None:
    assert not holds("hunter2", tmp_path, "nothing here")
    assert holds("hunter2", tmp_path, "https://user:hunter2@host/")
    (tmp_path / "cookies").write_bytes(b"\x00session hunter2\xff")
    assert holds("hunter2", tmp_path)
    (tmp_path / "cookies").unlink()
    (tmp_path / "hunter2.txt").touch()
    assert holds("hunter2", tmp_path)
