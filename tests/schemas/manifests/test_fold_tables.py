"""ESC-10, ESC-50 and UrbanSound8K in the form in which they come."""

import logging
import math
from pathlib import Path

import pytest

from schemas import Clip, UsageError
from schemas.manifests import read_events, read_manifest, vocabulary
from tests.complaints import refusal
from tests.stores.sound_archives import ESC_HEADER, URBAN_HEADER

ESC = (
    "1-100032-A-0.wav,1,0,dog,True,100032,A",
    "1-100032-B-0.wav,1,0,dog,True,100032,B",
    "2-17367-A-10.wav,2,10,rain,True,17367,A",
    "3-1-A-4.wav,3,4,frog,False,1,A",
)
URBAN = (
    "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark",
    "99812-1-2-0.wav,99812,0.0,4.0,2,10,1,car_horn",
)


def write(folder: Path, place: str, *lines: str) -> Path:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return folder


def test_esc_has_folds_and_classes_in_their_order(tmp_path: Path) -> None:
    folder = write(tmp_path, "meta/esc50.csv", ESC_HEADER, *ESC)
    fifty, ten = (list(read_manifest(name, folder)) for name in ("esc50", "esc10"))
    assert fifty[0] == Clip("1-100032-A-0", 0.0, math.inf, "1", ("dog",), "1-100032-A-0")
    assert [clip.split for clip in fifty] == ["1", "1", "2", "3"]
    assert ten == fifty[:3]
    assert vocabulary("esc50", folder).names == ("dog", "frog", "rain")
    assert vocabulary("esc10", folder).names == ("dog", "rain")
    assert [clip.key for clip in read_manifest("esc50", folder, "2")] == ["2-17367-A-10"]
    assert list(read_events("esc10", folder, "1")) == []


def test_urbansound_is_read_from_its_folder_or_from_that_of_its_table(tmp_path: Path) -> None:
    write(tmp_path, "metadata/UrbanSound8K.csv", URBAN_HEADER, *URBAN)
    clips = list(read_manifest("urbansound8k", tmp_path))
    assert clips == list(read_manifest("urbansound8k", tmp_path / "metadata"))
    assert [(clip.key, clip.split, clip.labels) for clip in clips] == [
        ("100032-3-0-0", "5", ("dog_bark",)),
        ("99812-1-2-0", "10", ("car_horn",)),
    ]
    assert vocabulary("urbansound8k", tmp_path).names == ("car_horn", "dog_bark")


def test_recordings_in_two_folds_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moved = ESC[1].replace(",1,0,", ",2,0,", 1)
    folder = write(tmp_path, "meta/esc50.csv", ESC_HEADER, ESC[0], moved, ESC[2])
    with caplog.at_level(logging.WARNING):
        list(read_manifest("esc50", folder))
    assert "1 recordings have clips in several folds (100032)" in caplog.text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1-1-A-0.wav,1,0,dog,True,1", "6 fields instead of 7"),
        ("1-1-A-0.wav,6,0,dog,True,1,A", "folds are 1, 2, 3, 4, 5"),
        ("1-1-A-0.wav,1,x,dog,True,1,A", "invalid literal"),
        ("1-1-A-0.wav,1,0,dog,yes,1,A", "column esc10 is True or False"),
        ("../a.wav,1,0,dog,True,1,A", "names a sound file without its folder"),
        ("1-1-A-0.txt,1,0,dog,True,1,A", "names a sound file without its folder"),
        ("1-1-A-0.wav,1,0,,True,1,A", "and a class"),
        (ESC[0], "the file stands in a row before"),
    ],
)
def test_bad_rows_are_named_with_their_line(tmp_path: Path, line: str, says: str) -> None:
    folder = write(tmp_path, "meta/esc50.csv", ESC_HEADER, ESC[0], line)
    sentence = refusal(lambda: list(read_manifest("esc50", folder)))
    assert "esc50.csv, line 3: expected a row of filename,fold" in sentence
    assert says in sentence


@pytest.mark.parametrize("dataset", ["esc10", "esc50", "urbansound8k"])
def test_other_folders_and_folds_are_refused(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"lacks meta.*\.csv; data set .* as it comes"):
        read_manifest(dataset, tmp_path)
    for ask in (read_manifest, read_events):
        with pytest.raises(UsageError, match=rf"data set {dataset} has no split 'train'"):
            ask(dataset, tmp_path, "train")


def test_a_number_with_two_names_is_no_class_twice(tmp_path: Path) -> None:
    other = "4-1-A-7.wav,4,7,dog,True,5,A"
    folder = write(tmp_path, "meta/esc50.csv", ESC_HEADER, ESC[0], other)
    with pytest.raises(UsageError, match="class names repeat: dog; fetch the file again"):
        vocabulary("esc50", folder)
