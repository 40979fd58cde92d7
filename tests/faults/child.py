"""The process that hostile inputs run in, so that a hang or a crash ends it and not the tests.

It reads `module<TAB>family<TAB>seed<TAB>index` lines from its standard input and answers each with
one JSON line on the descriptor that its first argument names.
"""

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from tests.faults.family import Family, Outcome, families_of, run_case

MANY_FILES = 64
"""Open files beyond those at the start that count as left behind."""


class Remains:
    """What cases leave behind in the process: children and open files."""

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.files = self.process.num_fds()

    def found(self) -> str:
        """Say what the last cases left behind, empty when nothing; children are ended."""
        children = [child for child in self.process.children(recursive=True) if alive(child)]
        for child in children:
            child.kill()
        if children:
            return f"child processes left behind: {', '.join(map(str, children))}"
        files = self.process.num_fds()
        if files > self.files + MANY_FILES:
            before, self.files = self.files, files
            return f"{files} files are open, {before} were"
        return ""


def alive(child: psutil.Process, patience_s: float = 1.0) -> bool:
    """Return whether a process still runs after a little time to end."""
    try:
        if child.status() != psutil.STATUS_ZOMBIE:
            child.wait(patience_s)
    except psutil.TimeoutExpired:
        return True
    except psutil.NoSuchProcess:
        pass
    return False


def limit_memory(megabytes: int) -> None:
    """Bound the address space to what the process has now and so much more."""
    now = psutil.Process().memory_info().vms
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + megabytes * 2**20, hard))


def lift_memory_limit() -> None:
    """Take the bound off again."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def answer(family: Family[Any], seed: int, index: int, remains: Remains) -> dict[str, object]:
    """Make and run one case in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="case-"))
    started = time.perf_counter()
    case = family.make(family.dice(seed, index))
    limit_memory(family.memory_mb)
    try:
        outcome, detail = run_case(family, case, folder)
    finally:
        lift_memory_limit()
        shutil.rmtree(folder, ignore_errors=True)
    if outcome.well and (left := remains.found()):
        outcome, detail = Outcome.LEAK, left
    seconds = time.perf_counter() - started
    return {"outcome": outcome, "detail": detail, "seconds": seconds}


def main() -> None:
    """Answer until the standard input ends."""
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="ascii")
    remains = Remains()
    for line in sys.stdin:
        module, name, seed, index = line.rstrip("\n").split("\t")
        (family,) = (one for one in families_of(module) if one.name == name)
        answers.write(json.dumps(answer(family, int(seed), int(index), remains)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
