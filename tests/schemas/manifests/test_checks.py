"""What all readers of annotations check."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import Clip, Event
from schemas.manifests.checks import (
    drop_empty,
    merge_repeats,
    require_files,
    require_split,
    warn_of_repeats,
)
from tests.complaints import refusal


def test_split_is_none_or_a_known_one() -> None:
    require_split("x", None, ("train",))
    require_split("x", "train", ("train",))
    assert refusal(lambda: require_split("x", "tes", ("train", "test"))) == (
        "data set x has no split 'tes'; did you mean 'test'? Known: train, test"
    )


def test_files_are_there_or_every_missing_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    (tmp_path / "d").mkdir()
    assert require_files("x", tmp_path, ["b"], "s") == [tmp_path / "b"]
    assert refusal(lambda: require_files("x", tmp_path, ["a", "b", "d"], "from s")) == (
        f"annotation folder {tmp_path} lacks a, d; data set x wants a, b, d there, under these "
        "names (from s)"
    )
    assert refusal(lambda: require_files("x", tmp_path / "no", ["a", "b"], "from s")) == (
        f"annotation folder {tmp_path / 'no'} of data set x does not exist; wanted there: a, b "
        "(from s)"
    )


def clip(name: str, *labels: str, split: str = "train") -> Clip:
    return Clip(name, 0, 10, split, labels)


def test_labels_of_repeats_join_the_first(caplog: pytest.LogCaptureFixture) -> None:
    read = [clip("a", "x"), clip("b", "y"), clip("a", "z", "x", split="test"), clip("a", "w")]
    with caplog.at_level(logging.WARNING):
        merged = list(merge_repeats("data", lambda: iter(read)))
    assert merged == [clip("a", "x", "z", "w"), clip("b", "y")]
    (record,) = caplog.records
    assert record.message == (
        "data: 1 clip(s) stand more than once in the annotations (a_0_10); "
        "the labels of each are merged into its first line"
    )


def test_clips_that_do_not_repeat_pass_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    readings: list[int] = []

    def read() -> Iterator[Clip]:
        readings.append(1)
        return iter([clip("a", "x"), clip("b")])

    with caplog.at_level(logging.WARNING):
        assert list(merge_repeats("data", read)) == [clip("a", "x"), clip("b")]
        warn_of_repeats("data", [])
    assert len(readings) == 2
    assert not caplog.records


def test_five_repeats_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_repeats("data", list("abcdef"))
    assert "data: 6 clip(s) stand more than once in the annotations (a, b, c, d, e, ...)" in (
        caplog.text
    )


def test_events_that_cover_no_time_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    events = [Event("a", "audio", start, end, "x") for start, end in ((0, 1), (1, 1), (2, 1))]
    with caplog.at_level(logging.WARNING):
        assert list(drop_empty("data", events[:1])) == events[:1]
        assert not caplog.records
        assert list(drop_empty("data", events)) == events[:1]
    assert "data: 2 event(s) that cover no time are left out" in caplog.text
