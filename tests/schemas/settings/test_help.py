"""Pages of help, and what a shell completes."""

import subprocess
import textwrap
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import tyro

from models import completion as of_models
from pipelines.cli import main as beam
from schemas.settings.bounds import AtLeast
from schemas.settings.completion import script, words_of
from schemas.settings.help import (
    NARROW,
    WIDE,
    Option,
    field_texts,
    names_of,
    options_of,
    page,
    shown,
)
from tests.complaints import refusal
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


class Colour(Enum):
    """A closed list."""

    RED = "red"


@dataclass(frozen=True)
class Kinds(Options):
    """One field of every kind."""

    whole: int = 3
    number: float | None = 0.5
    names: tuple[str, ...] = ()
    sizes: list[int] = field(default_factory=list)
    colour: Colour = Colour.RED
    on: bool = True
    """Stays
    on."""
    one: Literal[1, 2] | None = None


def test_types_become_what_is_typed() -> None:
    options = {option.name: option for option in options_of(Kinds, group="more")}
    assert {name: option.value for name, option in options.items()} == {
        "--media": "PATH", "--keep": "{best,last}", "--count": "INT", "--fast": "",
        "--whole": "INT", "--number": "NUMBER", "--names": "TEXT ...", "--sizes": "INT ...",
        "--colour": "TEXT",
        "--on": "", "--one": "{1,2}",
    }  # fmt: skip
    assert {name: option.choices for name, option in options.items() if option.choices} == {
        "--keep": ("best", "last"), "--one": ("1", "2")
    }  # fmt: skip
    assert {name: option.default for name, option in options.items() if option.default} == {
        "--keep": "best", "--whole": "3", "--number": "0.5", "--colour": "red", "--on": "on"
    }  # fmt: skip
    assert {name: option.text for name, option in options.items() if option.text} == {
        "--media": "Where it is.", "--keep": "What stays.", "--count": "How many.",
        "--fast": "Hurry.", "--on": "Stays on.",
    }  # fmt: skip
    assert {option.group for option in options.values()} == {"more"}


def test_values_of_an_instance_stand_for_the_defaults() -> None:
    options = options_of(Options, Options(keep="last", fast=True, media=Path("m")))
    assert [option.default for option in options] == ["m", "last", "", "on"]
    assert [option.group for option in options] == ["options"] * 4
    assert field_texts(int) == {}


@dataclass(frozen=True)
class Files:
    """Take files."""

    in_files: tyro.conf.Positional[tuple[Path, ...]]
    """Which."""
    fast: bool = False


def test_arguments_without_a_name_stand_before_the_options() -> None:
    argument, switch = options_of(Files, Files(in_files=(Path("x"),)))
    assert argument == Option(name="IN_FILES", value="PATH ...", text="Which.", group="arguments")
    assert (argument.words, switch.words) == ((), ("--fast", "--no-fast"))
    assert Option(name="--x", value="INT").words == ("--x",)
    said = page("thing", "Do.", [argument, switch, Option(name="MORE", group="arguments")])
    assert said.startswith("usage: thing IN_FILES MORE [options]\n\nDo.\n\narguments:\n  IN_FILES ")


def test_records_of_options_survive_json() -> None:
    for option in options_of(Options):
        assert Option.from_json(option.to_json()) == option
        assert Option.from_json({**option.to_json(), "choices": [*option.choices]}) == option


@pytest.mark.parametrize(
    ("default", "said"),
    [(None, ""), (False, ""), ("", ""), ((), ""), (True, "on"), (0.5, "0.5"), (Colour.RED, "red"),
     (("a", "b"), "('a', 'b')"), (Path("x"), "x")],
)  # fmt: skip
def test_defaults_as_they_would_be_typed(default: Any, said: str) -> None:
    assert shown(default) == said


@pytest.mark.parametrize(("columns", "width"), [(20, NARROW), (80, 80), (500, WIDE)])
def test_pages_are_as_wide_as_the_terminal_within_limits(
    columns: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = ("word " * 60).strip()
    lines = page("x", "y", [Option(name="--on", default="on", text=words)]).splitlines()
    at = lines.index("  --on")
    assert lines[at - 1] == "options:"
    text = textwrap.wrap(words, width - 6)
    assert lines[at + 1 : at + len(text)] == [f"      {line}" for line in text[:-1]]
    said = " ".join(line.strip() for line in lines[at + len(text) : -2])
    assert said == f"{text[-1]} (on; --no-on switches it off)"
    assert lines[-2:] == ["", "-h, --help shows this page."]


def test_default_of_an_option_is_not_broken_over_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    (option,) = [Option(name="--a", value="INT", default="a b c", text="x" * 40)]
    assert page("p", "", [option]).splitlines()[3:6] == [
        "options:", "  --a INT", "      " + "x" * 40
    ]  # fmt: skip
    assert page("p", "", [option]).splitlines()[6] == "      (default: a b c)"
    long = Option(name="--a", text="x" * 70 + "-yy")
    assert page("p", "", [long]).splitlines()[5] == f"      {long.text}"


def test_completion_is_for_shells_that_have_it() -> None:
    asked = ("_x", {"x": "--a"}, "    key=x", ["x", "y"])
    assert refusal(lambda: script("fish", *asked)).startswith("unknown shell 'fish'")
    bash, zsh = script("bash", *asked), script("zsh", *asked)
    assert zsh.removesuffix(bash) == "autoload -U +X bashcompinit && bashcompinit\n"
    assert bash.endswith("complete -o bashdefault -o default -F _x x y\n")
    options = [Option(name="--fast"), Option(name="--keep", value="{a}", choices=("a",))]
    assert words_of("x", options) == {"x": "--fast --help --keep --no-fast", "x --keep": "a"}


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
