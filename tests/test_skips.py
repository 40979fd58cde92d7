"""A run of the tests says at its end what it skipped and why."""

import os
import subprocess
import sys
from pathlib import Path

from tests.places import ROOT


def test_without_shared_data_the_summary_says_what_was_skipped(tmp_path: Path) -> None:
    name = "tests/schemas/manifests/test_published.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", name]
    nowhere = tmp_path / "nowhere"
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"EARSIGHT_SHARED": str(nowhere)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "no shared data" in line]
    count, _, rest = line.partition(" skipped, ")
    assert int(count) > 1
    assert rest == f"no shared data at {nowhere}; set EARSIGHT_SHARED: {name} {count}"
