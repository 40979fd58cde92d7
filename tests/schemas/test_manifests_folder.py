"""A folder of media files as a data set, with and without its label file."""

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas import Clip, UsageError
from schemas.manifests import read_events, read_manifest, vocabulary
from tests.complaints import refusal

Write = Callable[[dict[str, str | bytes]], Path]


def refused(folder: Path, split: str | None = None) -> str:
    """Return the sentence with which reading the clips ends."""
    return refusal(lambda: list(read_manifest("folder", folder, split)))


def test_folder_joins_files_and_rows(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    folder = write(
        {
            "b.MP4": b"", "a.flac": b"", ".hidden.mp4": b"", "notes.txt": b"",
            "labels.csv": 'file,labels,split\nb.MP4,"Dog| Wind, strong",train\n'
            "gone.mkv,,test\nb.MP4,Cat,train\nv1.5,Cat,test\n",
        }
    )  # fmt: skip
    (folder / "inner").mkdir()
    (folder / "inner" / "c.mp4").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        clips = list(read_manifest("folder", folder))
    assert clips == [
        Clip("a", 0.0, math.inf, name="a"),
        Clip("b", 0.0, math.inf, "train", ("Dog", "Wind, strong", "Cat"), "b"),
        Clip("gone", 0.0, math.inf, "test", (), "gone"),
        Clip("v1.5", 0.0, math.inf, "test", ("Cat",), "v1.5"),
    ]
    assert "1 clip(s) stand more than once" in caplog.text
    assert [clip.key for clip in read_manifest("folder", folder, "test")] == ["gone", "v1.5"]
    assert vocabulary("folder", folder).names == ("Cat", "Dog", "Wind, strong")
    assert list(read_events("folder", folder, "train")) == []


def test_folder_without_labels_has_no_splits_and_no_classes(write: Write) -> None:
    folder = write({"a.wav": b""})
    assert len(vocabulary("folder", folder)) == 0
    assert refused(folder, "train").endswith("known: none")


def test_folder_label_columns_may_be_absent(write: Write) -> None:
    folder = write({"labels.csv": "file,labels\na.mp4,Dog\n"})
    assert list(read_manifest("folder", folder)) == [Clip("a", 0, math.inf, "", ("Dog",), "a")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name;labels\n", r"line 1: expected the header 'file,labels,split'"),
        ("", r"line 1: expected the header"),
        ("file,labels,split\na.mp4,Dog\n", r"line 2: .*2 fields instead of 3"),
        ('file,labels,split\na.mp4,"Dog,train\n', r"line 2: .*unexpected end of data"),
        ("file,labels,split\n,Dog,train\n", r"line 2: .*name of a file in this folder"),
        ("file,labels,split\nx/a.mp4,Dog,train\n", r"line 2: .*name of a file in this folder"),
    ],
)
def test_folder_bad_label_file(write: Write, text: str, why: str) -> None:
    folder = write({"a.mp4": b"", "labels.csv": text})
    with pytest.raises(UsageError, match=rf"labels.csv, {why}"):
        list(read_manifest("folder", folder))


def test_folder_with_nothing_in_it_and_no_folder(tmp_path: Path) -> None:
    assert f"{tmp_path} holds no media file" in refused(tmp_path)
    assert "does not exist or is no folder" in refused(tmp_path / "no")


def test_things_named_as_media_are_clips_whose_names_tables_hold(write: Write) -> None:
    folder = write({"a.wmv": b""})
    (folder / os.fsdecode(b"caf\xe9.mp4")).touch()
    (folder / "dangling.mkv").symlink_to(folder / "nothing")
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.ts")
    clips = read_manifest("folder", folder)
    assert [clip.key for clip in clips] == ["a", "caf\\xe9", "dangling", "pipe"]


def test_folder_with_two_files_of_one_stem(write: Write) -> None:
    folder = write({"a.mp4": b"", "a.wav": b""})
    assert "a.mp4 and a.wav, whose clips would both be called 'a'" in refused(folder)
