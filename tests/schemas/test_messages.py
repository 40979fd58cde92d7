"""Sentences stay short and readable whatever was typed."""

import pytest

from schemas.messages import (
    listed,
    nearest,
    printable,
    printable_lines,
    quoted,
    suggestion,
    unboxed,
    unknown,
)


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


def test_values_are_cut_where_they_are_one_character_too_long() -> None:
    assert quoted("abcd", most=4) == "'abcd'"
    assert quoted("abcde", most=4) == "'a...'"
    assert quoted("abcdefgh", most=6) == "'abc...'"
    assert quoted(b"abcdefgh", most=6) == "b'abc...'"
    assert quoted(123456, most=4) == "123456"
    assert quoted(1234567, most=4) == "123..."
    assert printable("abcd", most=4) == "abcd"
    assert printable("abcde", most=4) == "a..."
    assert printable("x" * 2001) == "x" * 1997 + "..."


def test_lines_are_kept_and_the_end_of_many() -> None:
    assert printable_lines("a\x1b\nb", 20) == "a\\x1b\nb"
    assert printable_lines("one\ntwo", 7) == "one\ntwo"
    assert printable_lines("x" * 50 + "\nlast line", 12) == "xx\nlast line"
    assert printable_lines("\x00" * 8, 8) == "...0\\x00"


def test_names_of_a_list_are_shown_up_to_the_last_that_fits() -> None:
    assert listed("abc", most=3) == "a, b, c"
    assert listed("abcd", most=3) == "a, b, c, ..."
    assert listed(["n" * 80]) == "n" * 80
    assert listed(["n" * 81]) == repr("n" * 77)[:-1] + "...'"


def test_mistyped_names_are_answered_with_the_nearest() -> None:
    assert suggestion("hna", ["ave", "han"]) == "; did you mean 'han'? Known: ave, han"
    assert suggestion("zzz", ["ave", "ave", "han"]) == "; known: ave, han"
    assert suggestion("-x", ["--epochs"]) == "; see --help"
    assert unknown("model", "hna", ["han"]) == "unknown model 'hna'; did you mean 'han'? Known: han"
    assert unknown("option", "--" + "x" * 100, []) == f"unknown option --{'x' * 78}; see --help"


def test_complaints_lose_their_box() -> None:
    assert unboxed("╭ Title ╮\n│ a is  │\n│ ───── │\n│ missing │") == "a is"
    assert unboxed("╭ Title ╮\n│ ----- │\n│ wrong. │") == "wrong"
    assert unboxed("") == "the options could not be read"
