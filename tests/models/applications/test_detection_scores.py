"""evaluate.py --detections: events of a file against UnAV-100's annotations."""

import json
from pathlib import Path
from typing import Any

import pytest

from models import evaluate
from tests.models.commands import refused, run_command

HEAD = "clip_key,onset,offset,modality,label,score"
DATABASE = {
    "aaaaaaaaaaa": {
        "subset": "test", "duration": 20.0,
        "annotations": [
            {"segment": [2.0, 8.0], "label": "dog", "label_id": 0},
            {"segment": [7.0, 12.0], "label": "dog", "label_id": 0},
            {"segment": [10.0, 20.0], "label": "car", "label_id": 1},
        ],
    }
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "unav100_annotations.json").write_text(json.dumps({"database": DATABASE}))
    return tmp_path


def events(folder: Path, *lines: str) -> Path:
    path = folder / "events.csv"
    path.write_text("\n".join([HEAD, *lines, ""]))
    return path


def test_what_is_heard_and_seen_at_once_is_scored(folder: Path) -> None:
    path = events(
        folder,
        "aaaaaaaaaaa,0,8,audio,dog,0.9", "aaaaaaaaaaa_0_20,2,9,visual,dog,0.7",
        "aaaaaaaaaaa,10,20,audio,car,0.8", "zzzzzzzzzzz,0,9,visual,dog,0.9",
    )  # fmt: skip
    words = ("--detections", path, "--annotations", folder)
    done = run_command(evaluate.main, *words)
    assert done.returncode == 0
    written: dict[str, Any] = json.loads((folder / "events-evaluation-test.json").read_text())
    assert (written["dataset"], written["split"], written["clips"]) == ("unav100", "test", 1)
    assert written["metrics"]["map_0.9"] == 0.25  # 2 to 8: one dog of two; the car is not seen
    assert "mAP tIoU 0.5: 25.0" in done.stdout


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("zzzzzzzzzzz,0,8,audio,dog,0.9",), "has no event of split test of unav100"),
        (("aaaaaaaaaaa,0,8,audio,dog,nan",), "line 2: expected clip, two times"),
        (("aaaaaaaaaaa,0,8,smell,dog,0.9",), "line 2: expected clip, two times"),
        (("aaaaaaaaaaa,0,8",), "line 2: expected clip, two times"),
    ],
)
def test_bad_events_are_one_sentence(lines: tuple[str, ...], sentence: str, folder: Path) -> None:
    words = ("--detections", events(folder, *lines), "--annotations", folder)
    assert sentence in refused(evaluate.main, *words)
    assert not (folder / "events-evaluation-test.json").exists()


def test_wrong_use_is_said(folder: Path) -> None:
    path = events(folder)
    path.write_text("a,b\n")
    words = ("--detections", path, "--annotations", folder)
    assert "does not begin with clip_key,onset" in refused(evaluate.main, *words)
    assert "cannot be read" in refused(evaluate.main, *words[:1], folder / "no.csv", *words[2:])
    assert "has no event that is heard" in refused(evaluate.main, *words, "--split", "val")
    assert "where the annotation files of unav100 are" in refused(evaluate.main, *words[:2])
    assert "leave --run and" in refused(evaluate.main, *words, "--run", folder)
    assert "unknown data set 'unav'" in refused(evaluate.main, *words, "--dataset", "unav")
