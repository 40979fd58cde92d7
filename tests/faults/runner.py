"""Run cases of families in child processes, within a budget, and count how they ended."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.messages import printable
from tests.faults.family import Family, Outcome
from tests.places import ROOT

START_S = 120.0
"""Seconds that a child may take to start and to import what a family needs."""
EXAMPLES = 20
"""Cases of a family that a report names."""
MOST_DETAIL = 300
"""Characters of how a case ended that a report keeps, of the last line: CASE= shows them all."""


@dataclass(frozen=True)
class Result:
    """How one case ended."""

    outcome: Outcome
    detail: str
    seconds: float


@dataclass
class Tally:
    """How the cases of one family ended."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    seconds: float = 0.0
    unwell: list[dict[str, Any]] = field(default_factory=list)
    started: int = 0
    """Cases given out, so the index of the next one."""

    def add(self, index: int, result: Result) -> None:
        """Count one case."""
        self.outcomes[result.outcome] += 1
        self.seconds += result.seconds
        if not result.outcome.well:
            detail = printable(result.detail.strip().rpartition("\n")[2], MOST_DETAIL)
            self.unwell.append({"index": index, "outcome": result.outcome, "detail": detail})

    def to_json(self) -> dict[str, Any]:
        """Return the counts as they stand in the report."""
        count = self.outcomes
        crashes = (Outcome.TRACEBACK, Outcome.DEATH, Outcome.MEMORY, Outcome.UNREADABLE)
        return {
            "tried": count.total(),
            "ended_well": sum(number for outcome, number in count.items() if outcome.well),
            "rows": count[Outcome.ROWS],
            "failures": count[Outcome.FAILURE],
            "sentences": count[Outcome.SENTENCE],
            "crashes": sum(count[outcome] for outcome in crashes),
            "hangs": count[Outcome.HANG],
            "leaks": count[Outcome.LEAK],
            "wrong_rows": count[Outcome.WRONG_ROWS],
            "seconds": round(self.seconds, 1),
            "unwell": self.unwell[:EXAMPLES],
        }


class Child:
    """A process that runs cases one by one; it is started again after a death or a hang."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="faults-")
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = -1
        self._seen: set[str] = set()

    def run(self, module: str, family: Family[Any], seed: int, index: int) -> Result:
        """Run one case; a child that dies or does not answer in time is a result as well."""
        started = time.perf_counter()
        limit_s = family.time_limit_s if module in self._seen else START_S
        line = self._ask(f"{module}\t{family.name}\t{seed}\t{index}\n".encode(), limit_s)
        self._seen.add(module)
        seconds = time.perf_counter() - started
        if line:
            answer = json.loads(line)
            if answer["seconds"] <= family.time_limit_s:
                return Result(Outcome(answer["outcome"]), answer["detail"], answer["seconds"])
        if line == b"":
            return Result(Outcome.DEATH, f"the process ended with {self._status()}", seconds)
        self.close()
        return Result(Outcome.HANG, f"no answer within {family.time_limit_s:g} s", seconds)

    def close(self) -> None:
        """End the process and what it started."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        os.close(self._answers)
        self._process = None

    def _ask(self, line: bytes, limit_s: float) -> bytes | None:
        """Return the answer, empty when the child has ended, None when the time is up."""
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except BrokenPipeError:
            return b""
        return self._read_line(limit_s)

    def _status(self) -> str:
        """Wait for a child that has ended, and say how it did."""
        assert self._process is not None
        status = self._process.wait()
        self.close()
        return signal.Signals(-status).name if status < 0 else f"status {status}"

    def _start(self) -> subprocess.Popen[bytes]:
        self._seen.clear()
        self._answers, writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.child", str(writing)],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": self._scratch.name, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(writing,),
            start_new_session=True,
        )
        os.close(writing)
        return self._process

    def _read_line(self, limit_s: float) -> bytes | None:
        """Return one answer, empty when the child has ended, None when the time is up."""
        until = time.monotonic() + limit_s
        data = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while not data.endswith(b"\n"):
                if not selector.select(max(0.0, until - time.monotonic())):
                    return None
                piece = os.read(self._answers, 65536)
                if not piece:
                    return b""
                data += piece
        return data


class Campaign:
    """Cases of many families until a time is reached or every family has had its `most`.

    The family that has had the least time for its weight comes next.
    """

    def __init__(
        self, families: Mapping[str, tuple[str, Family[Any]]], seed: int, budget_s: float
    ) -> None:
        self.families = families
        self.seed = seed
        self.tallies = {name: Tally() for name in families}
        self._until = time.monotonic() + budget_s
        self._lock = threading.Lock()

    def run(self, workers: int) -> dict[str, Tally]:
        """Run the cases in so many child processes and return the counts by family."""
        with ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(self._work) for _ in range(workers)]:
                done.result()
        return self.tallies

    def _work(self) -> None:
        child = Child()
        try:
            while (case := self._next()) is not None:
                name, index = case
                result = child.run(*self.families[name], self.seed, index)
                with self._lock:
                    self.tallies[name].add(index, result)
        finally:
            child.close()

    def _next(self) -> tuple[str, int] | None:
        """Return the next case, or None at the end."""
        with self._lock:
            open_families = [
                name
                for name, (_, family) in self.families.items()
                if self.tallies[name].started < family.most
            ]
            if not open_families or time.monotonic() >= self._until:
                return None
            name = min(open_families, key=self._time_had)
            self.tallies[name].started += 1
            return name, self.tallies[name].started - 1

    def _time_had(self, name: str) -> float:
        return self.tallies[name].seconds / self.families[name][1].weight


def write_report(
    path: Path, tallies: Mapping[str, Tally], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the counts of all families and their sum as JSON."""
    by_family = {name: tally.to_json() for name, tally in sorted(tallies.items())}
    total = {
        key: round(sum(counts[key] for counts in by_family.values()), 1)
        for key in Tally().to_json()
        if key != "unwell"
    }
    report = {**facts, "total": total, "families": by_family}
    path.write_text(json.dumps(report, indent=1) + "\n")
    return report
