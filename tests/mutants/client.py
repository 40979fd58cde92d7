"""Ask the server for verdicts, and add them up."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mutants.equivalent import EQUIVALENT, Equivalent
from tests.mutants.known import Known
from tests.mutants.mutations import Mutation, mutations
from tests.mutants.rooms import Room
from tests.places import ROOT

PATIENCE = 5
"""Times as long as the unchanged tests that a mutant may take, and 20 s more."""
UNCHANGED_S = 900.0
"""Seconds that the unchanged tests may take."""


@dataclass
class Score:
    """How the mutants of one room ended."""

    mutants: int
    """All that there are."""
    killed: int = 0
    survivors: list[dict[str, Any]] = field(default_factory=list)
    equivalent: list[dict[str, Any]] = field(default_factory=list)
    """Those that do the same as before (`equivalent.py`); they are not tried."""

    @property
    def tried(self) -> int:
        """Mutants whose tests were run."""
        return self.killed + len(self.survivors)

    def to_json(self) -> dict[str, Any]:
        """Return the score as it stands in the report."""
        share = len(self.survivors) / self.tried if self.tried else None
        return {
            "mutants": self.mutants, "tried": self.tried, "killed": self.killed,
            "survived": len(self.survivors),
            "survived_share": None if share is None else round(share, 3),
            "survivors": self.survivors, "equivalent": self.equivalent,
        }  # fmt: skip


class Server:
    """The process that forks for each mutant."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.server"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._limits: dict[tuple[str, ...], float] = {}

    def survives(self, path: Path, source: str, tests: Sequence[str]) -> bool:
        """Return whether the tests notice nothing when a file has another source.

        AssertionError when they fail on the file as it is.
        """
        key = (str(path), *tests)
        if key not in self._limits:
            outcome, seconds = self._ask(path, path.read_text(), tests, UNCHANGED_S)
            assert outcome == "survived", f"{tests} do not pass on unchanged {path}: {outcome}"
            self._limits[key] = PATIENCE * seconds + 20
        return self._ask(path, source, tests, self._limits[key])[0] == "survived"

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(
        self, path: Path, source: str, tests: Sequence[str], limit_s: float
    ) -> tuple[str, float]:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        order = {
            "module": module, "path": str(path), "source": source, "tests": list(tests),
            "limit_s": limit_s,
        }  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["outcome"], answer["seconds"]


def try_room(server: Server, room: Room, seed: int, most: int, budget_s: float) -> Score:
    """Try a random sample of a room's mutants, until `most` are tried or the budget is spent."""
    every = [
        (path, mutation) for path in room.modules() for mutation in mutations(path.read_text())
    ]
    score = Score(len(every))
    until = time.monotonic() + budget_s
    for path, mutation in random.Random(seed).sample(every, min(most, len(every))):
        if time.monotonic() > until:
            break
        same = equivalent_of(path, mutation)
        if same is not None:
            score.equivalent.append({**_describe(path, mutation), "reason": same.reason})
        elif server.survives(path, mutation.apply(path.read_text()), room.tests_of(path)):
            score.survivors.append(_describe(path, mutation))
        else:
            score.killed += 1
    return score


def equivalent_of(path: Path, mutation: Mutation) -> Equivalent | None:
    """Return the entry that says why a change does the same; None where there is none."""
    name = str(path.relative_to(ROOT))
    line = path.read_text().splitlines()[mutation.line - 1].strip()
    change = name, line, mutation.before, mutation.after
    for known in EQUIVALENT:
        if (known.path, known.line, known.before, known.after) == change:
            return known
    return None


def known_survives(server: Server, known: Known) -> bool:
    """Return whether a known change goes unnoticed by the tests named with it."""
    path = ROOT / known.path
    return server.survives(path, known.apply(path.read_text()), known.tests)


def _describe(path: Path, mutation: Mutation) -> dict[str, Any]:
    return {
        "file": str(path.relative_to(ROOT)), "line": mutation.line, "before": mutation.before,
        "after": mutation.after,
    }  # fmt: skip
