"""`make test-mutants`: how many small changes of the code its tests do not notice.

MUTANTS (40) of each room at most, BUDGET_S (600) seconds for each, SEED (0), ROOM (names, comma
separated; all).
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bench.machine import describe
from tests.mutants.client import Server, known_survives, try_room
from tests.mutants.known import KNOWN, Known
from tests.mutants.rooms import ROOMS
from tests.places import BENCHMARKS

SEED = int(os.environ.get("SEED") or 0)
MUTANTS = int(os.environ.get("MUTANTS") or 40)
BUDGET_S = float(os.environ.get("BUDGET_S") or 600)
NAMES = [name for name in os.environ.get("ROOM", "").split(",") if name] or list(ROOMS)
MOST_SURVIVORS = 0.1


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One process that has imported the libraries."""
    server = Server()
    yield server
    server.close()


@pytest.mark.mutants
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_change_that_went_unnoticed_once_is_noticed(server: Server, known: Known) -> None:
    survives = known_survives(server, known)
    note("known", {known.name: "not noticed" if survives else "noticed"})
    assert not survives


@pytest.mark.mutants
@pytest.mark.parametrize("name", NAMES)
def test_few_random_changes_go_unnoticed(server: Server, name: str) -> None:
    score = try_room(server, ROOMS[name], SEED, MUTANTS, BUDGET_S)
    note("rooms", {name: {"seed": SEED, **score.to_json()}})
    assert len(score.survivors) <= MOST_SURVIVORS * score.tried, score.survivors


def note(part: str, found: dict[str, Any]) -> None:
    """Write what was found into `mutants.json`, beside what stands there."""
    path = BENCHMARKS / "mutants.json"
    report = json.loads(path.read_text()) if path.exists() else {}
    report |= {"machine": describe(), part: report.get(part, {}) | found}
    path.write_text(json.dumps(report, indent=1) + "\n")
