"""The memory that a command takes, by itself."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.places import ROOT


def peak_mb() -> float:
    """The most memory that this process has had, in MB, its parent's at its start left out."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def run_beam(*words: str) -> tuple[str, float]:
    """Run `beam` in a process of its own: what it printed, and the most memory it had, in MB."""
    code = (
        "import sys; from pipelines.cli import main; from tests.bench.memory import peak_mb;"
        "status = main(sys.argv[1:]); print(peak_mb()); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT,
        check=False, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, _, peak = done.stdout.rstrip().rpartition("\n")
    return said, round(float(peak), 1)
