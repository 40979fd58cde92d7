"""Which files are media, which lie in a folder, and what they are called."""

from pathlib import Path

import pytest

from schemas.media_names import BIDI, clip_name, files_under, is_media


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("a.mp4", True), ("a.MKV", True), (".hidden/a.wav", True), ("gs://b/f/a.ogg", True),
        (".a.mp4", False), ("f/.a.mp4", False), ("a.txt", False), ("mp4", False),
        ("a.mp4/b", False),
    ],
)  # fmt: skip
def test_media_are_known_by_their_ending_and_hidden_files_are_none(path: str, wanted: bool) -> None:
    assert is_media(path) is wanted


def test_files_of_a_folder_and_of_those_in_it(tmp_path: Path) -> None:
    for name in ("b/c.wav", "a.mp4", "b/.hidden.txt", ".git/x", "b/.cache/y"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "d.wav").touch()
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "beside")
    (tmp_path / "in" / "b" / "round").symlink_to(tmp_path / "in")
    assert files_under(tmp_path / "in") == ["a.mp4", "b/.hidden.txt", "b/c.wav", "linked/d.wav"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("dog/bark 1.wav", "dog/bark 1"), ("é.mp4", "é"), ("a.b.wav", "a.b"),
        ("\udc80\udcff.mp4", r"\x80\xff"), ("a\nb.mp4", r"a\nb"), ("\x1b[31m.mp4", r"\x1b[31m"),
        ("a\u2028b\u2029.mp4", r"a\u2028b\u2029"), ("\ud800.mp4", r"\ud800"),
        ("a\u00a0b\u3000.mp4", "a\u00a0b\u3000"), ("\u00ad\u200b.mp4", "\u00ad\u200b"),
    ],
)  # fmt: skip
def test_names_hold_nothing_that_a_terminal_obeys(path: str, name: str) -> None:
    assert clip_name(path) == name


def test_marks_of_direction_become_escapes() -> None:
    for mark in BIDI:
        assert clip_name(f"a{mark}b.wav") == f"a\\u{ord(mark):04x}b"
