"""A folder of media files as a data set, with and without its label file."""

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas import Clip, UsageError
from schemas.manifests import read_events, read_manifest, vocabulary
from schemas.manifests.folder import clip_of_line, clip_of_path
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
        Clip("inner/c", 0.0, math.inf, name="inner/c"),
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
        ("file,labels,split\n,Dog,train\n", r"line 2: .*path of a file in this folder"),
        ("file,labels,split\n../a.mp4,Dog,train\n", r"line 2: .*path of a file in this folder"),
        ("file,labels,split\n/a.mp4,Dog,train\n", r"line 2: .*path of a file in this folder"),
        ("file,labels,split\nx\\a.mp4,Dog,train\n", r"line 2: .*path of a file in this folder"),
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
    (folder / "gnp.\u202e3pm.mp3").touch()  # would be shown as gnp.3pm backwards
    os.mkfifo(folder / "pipe.ts")
    clips = read_manifest("folder", folder)
    assert [clip.key for clip in clips] == ["a", "caf\\xe9", "dangling", "gnp.\\u202e3pm", "pipe"]


def test_folder_with_two_files_of_one_stem(write: Write) -> None:
    folder = write({"a.mp4": b"", "a.wav": b""})
    assert "a.mp4 and a.wav, whose clips would both be called 'a'" in refused(folder)


def make_files(root: Path, *paths: str) -> Path:
    """Put empty files in place."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_folders_name_classes_and_splits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Hugging Face's folders, ESC-10's own layout, and what lies beside them."""
    folder = make_files(
        tmp_path, "Train/dog/a.wav", "train/cat/a.wav", "validation/dog/b.flac", "test/c.wav",
        "001 - Dog bark/1-30226-A.ogg", "fold1/dog/d.wav", "e.mp4", "x/y/z/f.mp4",
        ".cache/dog/g.wav", "dog/notes.txt",
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        clips = {clip.key: clip for clip in read_manifest("folder", folder)}
    assert {key: (clip.split, clip.labels) for key, clip in clips.items()} == {
        "001 - Dog bark/1-30226-A": ("", ("001 - Dog bark",)),
        "Train/dog/a": ("train", ("dog",)),
        "e": ("", ()),
        "fold1/dog/d": ("", ("dog",)),
        "test/c": ("test", ()),
        "train/cat/a": ("train", ("cat",)),
        "validation/dog/b": ("val", ("dog",)),
        "x/y/z/f": ("", ()),
    }
    assert "1 file(s) lie deeper" in caplog.text
    assert vocabulary("folder", folder).names == ("001 - Dog bark", "cat", "dog")
    assert [clip.key for clip in read_manifest("folder", folder, "val")] == ["validation/dog/b"]


def test_label_file_speaks_instead_of_the_folders(tmp_path: Path) -> None:
    folder = make_files(tmp_path, "audio/1-a.wav", "audio/2-b.wav", "audio/3-c.wav")
    (folder / "labels.csv").write_text("file,labels\naudio/1-a.wav,Dog\n2-b.wav,Cat\n")
    labels = {clip.key: clip.labels for clip in read_manifest("folder", folder)}
    assert labels == {"audio/1-a": ("Dog",), "2-b": ("Cat",), "audio/3-c": ()}


def test_a_name_that_several_folders_have_is_no_name(tmp_path: Path) -> None:
    folder = make_files(tmp_path, "x/a.wav", "y/a.wav")
    (folder / "labels.csv").write_text("file,labels\na.wav,Dog\n")
    assert "names 'a', which 2 folders have; give its path" in refused(folder)


def test_links_that_go_in_circles_end(tmp_path: Path) -> None:
    make_files(tmp_path, "dog/a.wav")
    (tmp_path / "dog" / "again").symlink_to(tmp_path)
    assert [clip.key for clip in read_manifest("folder", tmp_path)] == ["dog/a"]


def test_many_equal_rows_take_seconds(tmp_path: Path) -> None:
    """They took as long as a row's parsing, three times over: 33 s for a million."""
    folder = make_files(tmp_path, "a.wav")
    (folder / "labels.csv").write_text("file,labels,split\n" + "a.wav,Dog,train\n" * 200_000)
    clip_of_line.cache_clear()
    (clip,) = read_manifest("folder", folder)
    assert clip.labels == ("Dog",)
    assert clip_of_line.cache_info().misses == 1


def test_rows_say_split_labels_and_path(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    rows = ' b/a.wav , x | y||x , train \nnotes.txt,,\nb/a.wav,"z|x",test\n'
    folder = make_files(write({"labels.csv": "file, labels ,split\n" + rows}), "b/a.wav")
    with caplog.at_level(logging.WARNING):
        clips = list(read_manifest("folder", folder))
    assert clips == [
        Clip("b/a", 0.0, math.inf, "train", ("x", "y", "z"), "b/a"),
        Clip("notes.txt", 0.0, math.inf, "", (), "notes.txt"),
    ]
    assert "folder: 1 clip(s) stand more than once in the annotations (b/a)" in caplog.text


def test_rows_of_names_alone(write: Write) -> None:
    folder = make_files(write({"labels.csv": "file\na.wav\n"}), "a.wav", "x/b.wav")
    assert [clip.key for clip in read_manifest("folder", folder)] == ["a", "x/b"]
    assert refused(folder, "train").endswith("known: none")
    assert "has no split 'x'" in refusal(lambda: read_events("folder", folder, "x"))


@pytest.mark.parametrize("file", ["./a.wav", "a//b.wav", "..", "a/", ".", "a/../b.wav"])
def test_row_that_names_no_file_here_is_refused(write: Write, file: str) -> None:
    folder = write({"labels.csv": f"file\n{file}\n"})
    assert "the first field is the path of a file in this folder" in refused(folder)


def test_paths_that_rows_name_are_never_ambiguous(tmp_path: Path) -> None:
    folder = make_files(tmp_path, "a.wav", "x/a.wav", "y/b.wav")
    (folder / "labels.csv").write_text("file,labels\na.wav,Dog\nb.wav,Cat\n")
    labels = {clip.key: clip.labels for clip in read_manifest("folder", folder)}
    assert labels["a"] == ("Dog",)
    assert labels["b"] == ("Cat",)
    assert "y/b" not in labels


def test_deep_files_are_named_up_to_three(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_files(tmp_path, *(f"a/b/c/{name}.wav" for name in "defg"), "train/dog/h.wav")
    with caplog.at_level(logging.WARNING):
        clips = {clip.key: clip.labels for clip in read_manifest("folder", folder)}
    assert clips["train/dog/h"] == ("dog",)
    assert clips["a/b/c/d"] == ()
    assert "folder: 4 file(s) lie deeper" in caplog.text
    assert "(a/b/c/d, a/b/c/e, a/b/c/f, ...); name them in labels.csv" in caplog.text


@pytest.mark.parametrize(
    ("path", "split", "labels"),
    [
        ("a", "", ()), ("dog/a", "", ("dog",)), ("EVAL/a", "test", ()),
        ("dev/dog/a", "val", ("dog",)),
        ("x/dog/a", "", ("dog",)), ("train/x/dog/a", "train", ()), ("dog/train/a", "", ("train",)),
    ],
)  # fmt: skip
def test_folders_of_a_path_name_split_and_class(
    path: str, split: str, labels: tuple[str, ...]
) -> None:
    assert clip_of_path(path) == Clip(path, 0.0, math.inf, split, labels, path)
