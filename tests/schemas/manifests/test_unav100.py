"""UnAV-100's file of annotations: clips, events, classes, and what is wrong with a bad one."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas import Event
from schemas.manifests import read_events, read_manifest, vocabulary
from tests.complaints import refusal

VIDEOS: dict[str, Any] = {
    "__2MwJ2uHu0": {
        "subset": "train", "duration": 42.5,
        "annotations": [
            {"segment": [0, 4.25], "label": "dog barking", "label_id": 1},
            {"segment": [0.0005, 4.2495], "label": "dog barking", "label_id": 1},
            {"segment": [3.0, 9.0], "label": "man speaking", "label_id": 0},
        ],
    },
    "aaaaaaaaaaa": {"subset": "Validation", "duration": 10, "annotations": []},
    "bbbbbbbbbbb": {
        "subset": "test", "duration": 60.0,
        "annotations": [{"segment": [8, 8], "label": "man speaking", "label_id": 0}],
    },
}  # fmt: skip


def write(folder: Path, content: Any) -> Path:
    (folder / "unav100_annotations.json").write_text(json.dumps(content))
    return folder


def test_clips_are_whole_videos_with_their_split(tmp_path: Path) -> None:
    folder = write(tmp_path, {"database": VIDEOS})
    clips = list(read_manifest("unav100", folder))
    assert [(clip.key, clip.split, clip.labels) for clip in clips] == [
        ("__2MwJ2uHu0_0_42.5", "train", ("dog barking", "man speaking")),
        ("aaaaaaaaaaa_0_10", "val", ()),
        ("bbbbbbbbbbb_0_60", "test", ("man speaking",)),
    ]
    assert [clip.split for clip in read_manifest("unav100", folder, "val")] == ["val"]
    assert vocabulary("unav100", folder).names == ("man speaking", "dog barking")


def test_events_are_heard_and_seen_and_repeats_go(tmp_path: Path) -> None:
    folder = write(tmp_path, {"database": VIDEOS})
    key = "__2MwJ2uHu0_0_42.5"
    assert list(read_events("unav100", folder, "train")) == [
        Event(key, "audio", 0, 4.25, "dog barking"), Event(key, "visual", 0, 4.25, "dog barking"),
        Event(key, "audio", 3.0, 9.0, "man speaking"),
        Event(key, "visual", 3.0, 9.0, "man speaking"),
    ]  # fmt: skip
    assert len(list(read_events("unav100", folder, "test"))) == 2
    assert list(read_events("unav100", folder, "test", repair=True)) == []


def changed(video: str, **changes: Any) -> dict[str, Any]:
    return {"database": {**VIDEOS, video: {**VIDEOS[video], **changes}}}


SPAN = {"segment": [0, 1], "label": "x", "label_id": 0}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([1], "holds no object"),
        ({"videos": {}}, "has no 'database'"),
        ({"database": {"a": 3}}, "'database' of 'a' is 3, should be an object"),
        (changed("aaaaaaaaaaa", subset="dev"), "'aaaaaaaaaaa': 'subset' is 'dev', should be train"),
        (changed("aaaaaaaaaaa", duration=0), "need 0 <= start_s < end_s"),
        (changed("aaaaaaaaaaa", duration="10"), "'duration' is \"10\", should be a number"),
        (changed("aaaaaaaaaaa", annotations=[{**SPAN, "segment": [1]}]), "should be two numbers"),
        (
            changed("aaaaaaaaaaa", annotations=[{**SPAN, "segment": [0, float("nan")]}]),
            "should be two numbers",
        ),
    ],
)
def test_bad_files_are_one_sentence(content: Any, sentence: str, tmp_path: Path) -> None:
    folder = write(tmp_path, content)
    said = refusal(lambda: list(read_manifest("unav100", folder)))
    assert sentence in said
    assert str(folder) in said


def test_a_label_id_has_one_label(tmp_path: Path) -> None:
    folder = write(tmp_path, changed("aaaaaaaaaaa", annotations=[SPAN]))
    said = refusal(lambda: vocabulary("unav100", folder))
    assert "label_id 0 is 'x' here, 'man speaking' before" in said
    (folder / "unav100_annotations.json").write_text("{")
    assert "is no file of annotations" in refusal(lambda: list(read_manifest("unav100", folder)))
