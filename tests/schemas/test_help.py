"""Pages of help, and what a shell completes."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from models import completion as of_models
from pipelines.cli import main as beam
from schemas.settings.bounds import AtLeast
from schemas.settings.help import names_of, options_of, page
from tests.models.commands import run_command


@dataclass(frozen=True, kw_only=True)
class Options:
    """Do a thing.

    first line
    second line
    """

    media: Path | None = None
    """Where
    it is."""
    keep: Literal["best", "last"] = "best"
    """What stays."""
    count: Annotated[int | None, AtLeast(1)] = None
    """How many."""
    fast: bool = False
    """Hurry."""


def test_page_keeps_lines_and_has_no_types_of_python() -> None:
    said = page("beam thing", Options.__doc__ or "", options_of(Options, groups={"fast": "speed"}))
    assert "first line\nsecond line\n" in said
    assert "  --media PATH\n      Where it is.\n" in said
    assert "  --keep {best,last}\n      What stays. (default: best)\n" in said
    assert "  --count INT\n" in said
    assert "\nspeed:\n  --fast\n      Hurry.\n" in said
    assert "None" not in said


def test_names_have_the_no_form_of_switches_alone() -> None:
    assert names_of(options_of(Options)) == {
        "--help", "--media", "--keep", "--count", "--fast", "--no-fast"
    }  # fmt: skip


def completed(script: str, function: str, *words: str) -> set[str]:
    """Return what bash offers for the last of some words."""
    typed = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; {function}; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_beam_is_completed(capsys: pytest.CaptureFixture[str]) -> None:
    assert beam(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert completed(script, "_earsight", "beam", "val") == {"validate"}
    assert completed(script, "_earsight", "earsight", "run", "fe") == {"features"}
    offered = completed(script, "_earsight", "beam", "run", "features", "--wei")
    assert offered == {"--weights", "--weights-dir"}
    offered = completed(script, "_earsight", "beam", "run", "features", "--dataset", "d")
    assert offered == {"demo", "dcase2017"}


def test_models_are_completed() -> None:
    done = run_command(of_models.main, "bash")
    function = "_earsight_models"
    assert completed(done.stdout, function, "python", "models/train.py", "han-g") == {
        "han-gru", "han-guided"
    }  # fmt: skip
    for words in (("python", "models/train.py"), ("models/train.py",)):
        assert completed(done.stdout, function, *words, "han", "--ep") == {"--epochs"}
    assert completed(done.stdout, function, "python", "other.py", "--ep") == set()
