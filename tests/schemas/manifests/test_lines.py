"""From lines to values: what is read, what is refused, and where the error says it stands."""

from pathlib import Path

import pytest

from schemas import Clip, Event
from schemas.manifests.lines import (
    bad_line,
    clip_table,
    comma_fields,
    cut_name,
    event_table,
    fields,
    parse_lines,
    read_lines,
    seconds,
    unique,
)
from tests.complaints import refusal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


def test_lines_are_numbered_and_blank_ones_counted_only(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfa\tb \r\n\r\n  \t\nc\rd")
    assert list(read_lines(path)) == [(1, "a\tb "), (4, "c"), (5, "d")]


@pytest.mark.parametrize(
    ("line", "wanted", "found"),
    [
        (b"a\x1bb", "no control character", r"'a\x1bb'"),
        (b"a\x7f", "no control character", r"'a\x7f'"),
        (b"a\xc2\x85b", "no control character", r"'a\x85b'"),
        (b"a\xffb", "text in UTF-8", r"'a\\xffb'"),
    ],
)
def test_line_that_no_list_has_is_refused(path: Path, line: bytes, wanted: str, found: str) -> None:
    path.write_bytes(b"ok\n" + line + b"\n")
    assert refusal(lambda: list(read_lines(path))) == (
        f"{path}, line 2: expected {wanted}, found {found}; "
        "correct the line or fetch the file again"
    )


def test_letters_that_are_not_printed_are_no_control_characters(path: Path) -> None:
    path.write_text("a\u00a0b\u200bc\n")
    assert list(read_lines(path)) == [(1, "a\u00a0b\u200bc")]


def test_file_that_cannot_be_opened_is_named(path: Path) -> None:
    path.mkdir()
    assert refusal(lambda: list(read_lines(path))) == f"{path} cannot be read: Is a directory"


def test_lines_are_parsed_after_the_header_and_without_comments(path: Path) -> None:
    path.write_text("head \n# 1\n2\n3\n")
    assert list(parse_lines(path, int, "a number", header="head", skip="#")) == [2, 3]
    assert refusal(lambda: list(parse_lines(path, int, "a number", header="other"))) == (
        f"{path}, line 1: expected the header 'other', found 'head '; "
        "correct the line or fetch the file again"
    )
    said = refusal(lambda: list(parse_lines(path, int, "a number", header="head")))
    assert said.startswith(f"{path}, line 2: expected a number, found '# 1' (invalid literal")
    path.write_text("")
    assert list(parse_lines(path, int, "a number")) == []
    assert "line 1: expected the header 'x', found ''" in refusal(
        lambda: list(parse_lines(path, int, "a number", header="x"))
    )
    assert str(bad_line(path, 7, "x", "y")) == (
        f"{path}, line 7: expected y, found 'x'; correct the line or fetch the file again"
    )


def test_fields_of_a_line() -> None:
    assert fields("a&b&", 3, "&") == ["a", "b", ""]
    for count in (2, 4):
        with pytest.raises(ValueError, match=f"3 fields instead of {count}"):
            fields("a&b&", count, "&")
    assert comma_fields('a,  "b, ""c""",') == ["a", 'b, "c"', ""]
    with pytest.raises(ValueError, match="unexpected end of data"):
        comma_fields('a,"b')
    with pytest.raises(ValueError, match="expected after"):
        comma_fields('a,"b"c')


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("2.5", 2.5), (" 3 ", 3.0), ("1e2", 100)])
def test_times_in_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "'x' is no number of seconds"), ("", "'' is no number of seconds"),
        ("1_0", "'1_0' is no number of seconds"), ("-0.1", "'-0.1' is no time in a clip"),
        ("inf", "'inf' is no time in a clip"), ("nan", "'nan' is no time in a clip"),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        seconds(text)
    assert str(refused.value) == said


def test_labels_are_known_and_stand_once() -> None:
    assert unique(["b", "a", "b"], "ab") == ("b", "a")
    assert unique([], "ab") == ()
    with pytest.raises(ValueError, match="unknown label 'c'"):
        unique(["a", "c"], "ab")


def test_names_are_cut_from_the_right() -> None:
    assert cut_name("a_b_c_1_2.5") == ("a_b_c", 1.0, 2.5)
    assert cut_name("__1_2") == ("_", 1.0, 2.0)
    for name in ("_1_2", "1_2", "1", ""):
        with pytest.raises(ValueError, match=f"'{name}' is not <video id>_<start>_<end>"):
            cut_name(name)


def test_clips_of_a_table_with_and_without_splits(path: Path) -> None:
    path.write_text("filename\tevent_labels\nv_0_10\tb,a\nw_1_2.5\t\n")
    assert list(clip_table(path, "filename\tevent_labels", "ab", ("val", "test"))) == [
        Clip("v", 0.0, 10.0, "val", ("b", "a"), "v_0_10"),
        Clip("w", 1.0, 2.5, "val", (), "w_1_2.5"),
    ]
    head = "filename\tsplit\tevent_labels"
    path.write_text(f"{head}\nv_0_10\ttest\ta\n")
    assert list(clip_table(path, head, "ab", ("val", "test"))) == [
        Clip("v", 0.0, 10.0, "test", ("a",), "v_0_10")
    ]
    path.write_text(f"{head}\nv_0_10\ttst\ta\n")
    assert refusal(lambda: list(clip_table(path, head, "ab", ("val", "test")))) == (
        f"{path}, line 2: expected filename, split, event_labels, tab separated, with "
        "<video id>_<start>_<end> and known labels, found 'v_0_10\\ttst\\ta' (unknown split "
        "'tst'; did you mean 'test'? Known: val, test); correct the line or fetch the file again"
    )


def test_events_of_a_table(path: Path) -> None:
    path.write_text("filename\tonset\toffset\tevent_labels\nv_0_10\t1\t2.5\ta, b\n")
    assert list(event_table(path, "visual", {"a, b"})) == [
        Event("v_0_10", "visual", 1.0, 2.5, "a, b")
    ]
    assert "expected a clip's name, onset and offset in seconds and one known label" in refusal(
        lambda: list(event_table(path, "visual", {"a"}))
    )
