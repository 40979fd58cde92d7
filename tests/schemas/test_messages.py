"""Sentences stay short and readable whatever was typed."""

import pytest

from schemas.machine.clock import utc_stamp
from schemas.messages import listed, nearest, quoted, suggestion, unknown


@pytest.mark.parametrize(
    "value", ["x" * 10_000_000, "\x00" * 10_000_000, b"\xff" * 10_000, ["y" * 100_000], 10**4000]
)
def test_a_quoted_value_is_one_short_printable_line(value: object) -> None:
    text = quoted(value)
    assert len(text) <= 4 * 80 + 5
    assert text.isprintable()
    assert text.endswith(("...", "...'"))


def test_short_values_are_quoted_whole() -> None:
    assert quoted("a'b") == '"a\'b"'
    assert quoted(3.5) == "3.5"
    assert quoted("x" * 80) == repr("x" * 80)


def test_long_lists_end_in_dots() -> None:
    assert listed(map(str, range(1000))).endswith("198, 199, ...")
    assert len(listed(["n" * 10_000] * 10)) < 1000
    assert listed([]) == "none"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("HAN", "han"), ("two-stream", "two_stream"), ("hna", "han"), ("xyz", None), ("", None)],
)
def test_nearest_name(asked: str, meant: str | None) -> None:
    assert nearest(asked, ["two_stream", "han"]) == meant


def test_a_name_of_many_characters_costs_no_time() -> None:
    assert len(unknown("model", "h" * 1_000_000, ["han", "ave"])) < 200
    assert len(unknown("option", "--" + "h" * 1_000_000, ["--han"])) < 200


def test_options_are_not_listed() -> None:
    assert suggestion("--wrong", ["--epochs"], see="beam plan --help") == "; see beam plan --help"
    assert unknown("option", "--epoch", ["--epochs"]) == (
        "unknown option --epoch; did you mean --epochs?"
    )


def test_stamps_are_utc_in_whole_seconds() -> None:
    assert utc_stamp(1_764_213_600.9) == "2025-11-27T03:20:00+00:00"
