"""Run tests against a changed module, in a fork of a process that has imported the libraries.

It reads one JSON line for each mutant from its standard input (module, path, source, tests, limit)
and answers each with one line on its standard output: `killed`, `survived` or `timeout`. No module
of the product may be imported here: a fork imports them with the changed one among them.
"""

import doctest
import importlib
import importlib.abc
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType
from typing import Any

import pytest

LIBRARIES = (
    "apache_beam", "av", "cv2", "librosa", "matplotlib.pyplot", "numpy", "pyarrow.parquet",
    "pyarrow.compute", "rich.console", "scipy.signal", "sklearn.metrics", "torch", "torchvision",
    "tyro", "google.cloud.storage",
)  # fmt: skip
PRODUCT = ("schemas", "extractors", "models", "pipelines")


class ChangedSource(SourceFileLoader):
    """Load a module from a text instead of its file."""

    def __init__(self, module: str, path: str, source: str) -> None:
        super().__init__(module, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """Compile the text."""
        return compile(self._source, self.path, "exec", dont_inherit=True)


class Finder(importlib.abc.MetaPathFinder):
    """Find one module in its changed form."""

    def __init__(self, module: str, path: str, source: str) -> None:
        self.module, self.path, self.source = module, path, source

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the changed module, None for all others."""
        if fullname != self.module:
            return None
        loader = ChangedSource(fullname, self.path, self.source)
        return importlib.util.spec_from_file_location(fullname, self.path, loader=loader)


def run_fork(order: dict[str, Any]) -> None:
    """Run the tests in this forked process and end it with pytest's status."""
    os.setsid()
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    scratch = tempfile.mkdtemp(prefix="mutant-")
    tempfile.tempdir = scratch
    os.environ["TMPDIR"] = scratch
    sys.meta_path.insert(0, Finder(order["module"], order["path"], order["source"]))
    status: int = 3
    try:
        options = ["-x", "-q", "--no-header", f"--basetemp={scratch}/pytest"]
        status = int(pytest.main([*options, *order["tests"]])) or doctests(order["module"])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(status)


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
    sys.dont_write_bytecode = True
    assert not any(name.split(".")[0] in PRODUCT for name in sys.modules)
    for line in sys.stdin:
        started = time.perf_counter()
        outcome = verdict(json.loads(line))
        seconds = time.perf_counter() - started
        sys.stdout.write(json.dumps({"outcome": outcome, "seconds": seconds}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
