"""Fixtures that every test may use."""

import os
import signal
from collections import defaultdict
from pathlib import Path

import pytest

from tests.killed import write_report
from tests.places import ROOT


def pytest_configure() -> None:
    """Give programs that tests start the default signals, also when a shell ignores them for us."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(sign) is signal.SIG_IGN:
            usual = signal.default_int_handler if sign is signal.SIGINT else signal.SIG_DFL
            signal.signal(sign, usual)


def pytest_sessionfinish() -> None:
    """Write down how many kills there were, where `make test-kills` asks for it."""
    if path := os.environ.get("KILLS_REPORT"):
        write_report(Path(path))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips, annotations and golden numbers, or a skip that says so."""
    folder = Path(os.environ.get("EARSIGHT_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set EARSIGHT_SHARED")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was skipped and why: a reason a line, with its tests by file."""
    files: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            files[reason][report.nodeid.partition("::")[0]] += 1
    for reason, counts in files.items():
        where = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        terminalreporter.write_line(f"{sum(counts.values())} skipped, {reason}: {where}")
