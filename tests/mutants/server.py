"""Run tests against a changed module, in a fork of a process that has imported the libraries.

It reads one JSON line for each mutant from its standard input (module, path, source, tests, limit)
and answers each with one line on its standard output: `killed`, `survived` or `timeout`. No module
of the product may be imported here: a fork imports them with the changed one among them.
"""

import atexit
import doctest
import gc
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.changed_source import Finder
from tests.places import ROOT

LIBRARIES = (
    "apache_beam", "av", "cv2", "librosa", "matplotlib.pyplot", "numpy", "pyarrow.parquet",
    "pyarrow.compute", "rich.console", "scipy.signal", "sklearn.metrics", "torch", "torchvision",
    "tyro", "google.cloud.storage",
)  # fmt: skip
PRODUCT = ("schemas", "extractors", "models", "pipelines")


def run_fork(order: dict[str, Any]) -> None:
    """Run the tests in this forked process and end it with pytest's status."""
    os.setsid()
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    scratch = tempfile.mkdtemp(prefix="mutant-")
    tempfile.tempdir = scratch
    os.environ["TMPDIR"] = scratch
    change = order["module"], order["path"], order["source"]
    sys.meta_path.insert(0, Finder(*change))
    change_children(Path(scratch), *change)
    status: int = 3
    try:
        options = ["-x", "-q", "--no-header", f"--basetemp={scratch}/pytest"]
        status = int(pytest.main([*options, *order["tests"]])) or doctests(order["module"])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(status)


def change_children(folder: Path, *change: str) -> None:
    """Give the changed module to every Python process that the tests start, by way of `site`."""
    hook = f"""import sys
from tests.mutants.changed_source import Finder
sys.meta_path.insert(0, Finder{change!r})
"""
    (folder / "sitecustomize.py").write_text(hook)
    sys.path[:0] = paths = [str(folder), str(ROOT)]
    old = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*paths, old]))


def doctests(module: str) -> int:
    """Run the doctests of the changed module; return 1 when one fails.

    (pytest would import the module anew for them, from its file.)
    """
    return int(doctest.testmod(importlib.import_module(module)).failed > 0)


def verdict(order: dict[str, Any]) -> str:
    """Run one mutant and say how it ended."""
    child = os.fork()
    if not child:
        run_fork(order)
    until = time.monotonic() + order["limit_s"]
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return "survived" if status == 0 else "killed"
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def main() -> None:
    """Answer until the standard input ends."""
    for library in LIBRARIES:
        importlib.import_module(library)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # no test needs one, each fork imports them
    sys.dont_write_bytecode = False
    sys.pycache_prefix = tempfile.mkdtemp(prefix="mutants-compiled-")  # of all but the changed one
    atexit.register(shutil.rmtree, sys.pycache_prefix, ignore_errors=True)
    assert not any(name.split(".")[0] in PRODUCT for name in sys.modules)
    gc.freeze()  # pytest collects garbage at its end: in a fork not that of all the libraries
    for line in sys.stdin:
        started = time.perf_counter()
        outcome = verdict(json.loads(line))
        seconds = time.perf_counter() - started
        sys.stdout.write(json.dumps({"outcome": outcome, "seconds": seconds}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
