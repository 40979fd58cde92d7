"""Options from a dataclass: what is read, what is refused in one sentence, and the statuses."""

import io
import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from schemas.failure import JobError, UsageError
from schemas.settings.bounds import AtLeast
from schemas.settings.command_line import (
    INTERRUPTED,
    asks_for_help,
    exit_status,
    option_names,
    parse_known_options,
    parse_options,
    refuse_unknown,
    show_help,
)
from tests.complaints import refusal


@dataclass(frozen=True, kw_only=True)
class Options:
    """Do a thing."""

    batch_size: Annotated[int, AtLeast(1)] = 8
    """Clips at once."""
    keep: Literal["best", "last"] = "best"
    """What stays."""
    fast: bool = False
    """Hurry."""

    def __post_init__(self) -> None:
        if self.fast and self.keep == "last":
            raise ValueError("fast keeps nothing")


def test_options_are_read_with_either_sign() -> None:
    read = parse_options(Options, ["--batch-size", "3", "--keep", "last"], "thing")
    assert read == Options(batch_size=3, keep="last")
    assert parse_options(Options, ["--batch_size=4", "--fast"], "thing") == Options(
        batch_size=4, fast=True
    )
    rest = parse_known_options(Options, ["a", "--fast", "--other", "1"], "thing")
    assert rest == (Options(fast=True), ["a", "--other", "1"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batch-size", "0"], "--batch-size is 0; it must be at least 1"),
        (["extra"], "unexpected argument 'extra'; see thing --help"),
        (["--fast", "--keep", "last"], "fast keeps nothing; see thing --help"),
    ],
)
def test_wrong_options_are_one_sentence(words: list[str], said: str) -> None:
    assert refusal(lambda: parse_options(Options, words, "thing")) == said


def test_value_that_is_none_of_a_kind_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(lambda: parse_options(Options, ["--batch-size", "x"], "thing"))
    assert "--batch-size" in said
    assert said.endswith("; see thing --help")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_ends_the_program_after_its_page(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asks_for_help(["x", word])
    assert not asks_for_help(["x", "help"])
    with pytest.raises(SystemExit) as stop:
        parse_known_options(Options, ["--fast", word], "thing", groups={"fast": "speed"})
    assert stop.value.code == 0
    own = capsys.readouterr().out
    assert own.startswith("usage: thing [options]\n\nDo a thing.\n")
    assert "\nspeed:\n  --fast\n" in own
    assert own.endswith("-h, --help shows this page.\n")
    with pytest.raises(SystemExit):
        parse_known_options(Options, [word], "thing", "Something else.")
    assert "\n\nSomething else.\n" in capsys.readouterr().out
    show_help("thing", None, [])
    assert capsys.readouterr().out == "usage: thing [options]\n\n\n-h, --help shows this page.\n"


def test_unknown_options_are_refused_with_a_suggestion() -> None:
    known = option_names(Options)
    assert known == {"--help", "--batch-size", "--keep", "--fast", "--no-fast"}
    refuse_unknown(["x", "--batch_size=3", "--no-fast", "-n", "--keep"], known, "thing --help")
    refuse_unknown(["--a-b"], ["--a_b"], "thing --help")
    said = refusal(lambda: refuse_unknown(["--kep=best"], known, "thing --help"))
    assert said == "unknown option --kep; did you mean --keep?"
    said = refusal(lambda: refuse_unknown(["--zzzzzz"], known, "thing --help"))
    assert said == "unknown option --zzzzzz; see thing --help"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UsageError("no http://u:p@h/x"), 2, "error: no http://***@h/x\n"),
        (JobError("disk\nfull"), 1, "error: disk\\nfull\n"),
        (KeyboardInterrupt(), INTERRUPTED, "stopped here\n"),
    ],
)
def test_trouble_is_a_status_and_one_line(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    assert exit_status(fail, "stopped here") == status
    assert capsys.readouterr() == ("", said)


def test_statuses_are_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(lambda: None, "") == 0
    assert exit_status(lambda: 3, "") == 3
    assert INTERRUPTED == 130
    with pytest.raises(ZeroDivisionError):
        exit_status(lambda: 1 // 0, "")
    assert capsys.readouterr() == ("", "")


def test_letters_that_an_output_lacks_are_written_as_escapes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), "ascii") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)

    def command() -> int:
        sys.stdout.write("é")
        raise UsageError("ü")

    assert exit_status(command, "") == 2
    for stream in streams.values():
        stream.flush()
    written = [stream.buffer.getvalue() for stream in streams.values()]
    monkeypatch.undo()
    assert written == [b"\\xe9", b"error: \\xfc\n"]
