"""Help, versions and complaints come at once: nothing heavy is imported for them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.commands.names import COMMANDS
from pipelines.runners.option_names import beam_option_names
from schemas.machine.version import find_commit
from tests.places import ROOT

HEAVY = (
    "apache_beam",
    "torch",
    "tensorflow",
    "cv2",
    "librosa",
    "matplotlib",
    "google.auth",
    "scipy",
)
PEAK_MB = 150


def ask(*words: str) -> tuple[subprocess.CompletedProcess[str], set[str], float]:
    """Return what a command said, the heavy packages that it imported, and its memory in MB."""
    code = (
        "import sys\n"
        "from pipelines.cli import main\n"
        "try:\n"
        "    status = main(sys.argv[1:])\n"
        "except SystemExit as stop:\n"
        "    status = stop.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print('\\nIMPORTED', *heavy, file=sys.stderr)\n"
        "sys.stderr.writelines(line for line in open('/proc/self/status') if 'VmHWM' in line)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    imported = re.search(r"^IMPORTED(.*)$", done.stderr, re.MULTILINE)
    peak = re.search(r"^VmHWM:\s*(\d+) kB$", done.stderr, re.MULTILINE)
    assert imported is not None, done.stderr
    assert peak is not None
    return done, set(imported[1].split()), float(peak[1]) / 1024


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_light(command: str) -> None:
    done, imported, peak_mb = ask(*command.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert "beam run features" in done.stdout or "--help" in done.stdout
    assert not imported
    assert peak_mb < PEAK_MB


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run features --datset llp", "unknown option --datset; did you mean --dataset?"),
        ("run download --num_wrkers 2", "unknown option --num_wrkers; did you mean --num_workers?"),
        ("run pack --out x --shard-mb 0", "--shard-mb is 0.0; it must be at least 1"),
        ("run featurs", "unknown job 'featurs'; did you mean 'features'"),
        ("plan --annotation x", "unknown option --annotation; did you mean --annotations?"),
        ("--versoin", "unknown command"),
        ("features", "unknown command 'features'; perhaps beam run features? See beam --help"),
    ],
)
def test_mistyped_words_are_answered_lightly(words: str, said: str) -> None:
    done, imported, peak_mb = ask(*words.split())
    assert done.returncode == 2
    assert said in done.stderr
    assert not imported
    assert peak_mb < PEAK_MB


def test_version_names_release_and_commit() -> None:
    done, imported, _ = ask("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"earsight \d+\.\d+\.\d+ \(commit ([0-9a-f]{12}|unknown)\)\n", done.stdout)
    assert not imported


def test_commit_of_a_wheel_is_the_one_that_it_was_built_from(tmp_path: Path) -> None:
    assert find_commit(tmp_path) is None
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/commit.txt").write_text("93922ffb9dbb5827c11ce6e673f81410dd6ee5b9\n")
    assert find_commit(tmp_path) == "93922ffb9dbb"


def test_names_in_beams_source_are_those_of_its_parser() -> None:
    from pipelines.runners.beam_options import _beam_parser

    known = {name for name in _beam_parser()._option_string_actions if name.startswith("--")}
    assert beam_option_names() == known
