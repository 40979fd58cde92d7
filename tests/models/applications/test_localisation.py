"""Localisation: seconds, overlaps and hits; the command on a store whose truth is made up."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.image import imread

from models import localise, train
from models.applications import localisation, new_media
from models.applications.localisation import Located
from models.runtime import command_line as cli
from models.runtime import files
from models.training import run_folder as runs
from schemas.demo import BOXES_FILE
from tests.models.applications.test_separation import said
from tests.stores.bags import write_bag_store
from tests.stores.parsing import CLASSES, SECONDS

LEFT, RIGHT = (0.1, 0.1, 0.4, 0.4), (0.6, 0.1, 0.9, 0.9)


def located(*sound: float, seconds: int = 3) -> Located:
    scores = np.array(sound, np.float32)[:, None]
    return Located(
        clip=np.ones(1, np.float32), boxes=np.zeros((0, 4), np.float32),
        box_seconds=np.zeros(0, np.int64), box_scores=np.zeros((0, 1), np.float32),
        sound_starts=0.48 * np.arange(len(sound), dtype=np.float64), sound_scores=scores,
        seconds=seconds,
    )  # fmt: skip


def test_scores_are_scaled_class_by_class() -> None:
    scores = np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]], np.float32)
    np.testing.assert_allclose(
        localisation.scaled(scores), np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]])
    )


def test_second_takes_the_best_stretch_with_its_middle_in_it() -> None:
    # middles at 0.48, 0.96 | 1.44, 1.92 | 2.40
    found = localisation.by_second(located(0.0, 2.0, 4.0, 1.0, 0.0))
    np.testing.assert_allclose(found[:, 0], [0.5, 1.0, 0.0])
    short = localisation.by_second(located(0.0, 1.0))
    np.testing.assert_allclose(short[:, 0], [1.0, 1.0, 1.0])


def test_overlap_is_intersection_over_union() -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0.25, 0, 0.75, 0.5], [0.8, 0.8, 1, 1]], np.float32)
    found = localisation.overlap(boxes, boxes[:1])
    np.testing.assert_allclose(found[:, 0], [1.0, 1 / 3, 0.0], atol=1e-6)


def test_hits_need_the_right_second() -> None:
    boxes = np.array([LEFT, LEFT, RIGHT, (0.0, 0.0, 1.0, 1.0)], np.float32)
    truth = {4: np.array([(0.1, 0.1, 0.45, 0.45)], np.float32)}
    pointed, found = localisation.hits(boxes, np.array([4, 5, 4, 4]), truth)
    assert pointed.tolist() == [True, False, False, False]
    assert found.tolist() == [True, False, False, False]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt which boxes and stretches belong to which class."""
    root = write_bag_store(tmp_path_factory.mktemp("store"))
    folder = tmp_path_factory.mktemp("runs") / "av"
    arguments = ["two_stream", "--features", root, "--run", folder, "--epochs", 12]
    arguments += ["--learning-rate", 0.01, "--hidden", 16, "--batch-size", 8, "--dropout", 0.2]
    assert cli.run(train.main, [str(one) for one in arguments]) == 0
    return folder


def world(run: Path, folder: Path, box: tuple[float, ...]) -> Path:
    """A demo world in which the first class of a clip is always seen in the same box."""
    facts = files.read_json(run / runs.CONFIG, "")
    clips = pq.read_table(Path(facts["features"]) / "clips").to_pylist()
    rows = [
        {"clip_key": clip["clip_key"], "frame_index": 25 * second + frame,
         "label": clip["labels"][0], "event_id": 0, "visible_share": 1.0,
         **dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))}
        for clip in clips for second in range(SECONDS) for frame in (0, 12)
    ]  # fmt: skip
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / BOXES_FILE)
    return folder


def test_top_box_finds_what_the_class_looks_like(run: Path, tmp_path: Path) -> None:
    where = world(run, tmp_path / "world", LEFT)
    assert said(localise.main, "--run", run, "--truth", where, "--out", tmp_path)[0] == 0
    boxes = files.read_json(tmp_path / "localisation-test.json", "")["boxes"]
    for kind in ("clip", "event"):
        assert boxes[kind]["cases"] == 14
        assert boxes[kind]["any_iou50"] == 1.0
        assert boxes[kind]["random_iou50"] == pytest.approx(0.5)
        assert boxes[kind]["largest_iou50"] == 0.0
        assert boxes[kind]["top_iou50"] > 0.7
    turned = world(run, tmp_path / "turned", RIGHT)
    assert said(localise.main, "--run", run, "--truth", turned, "--out", tmp_path)[0] == 0
    boxes = files.read_json(tmp_path / "localisation-test.json", "")["boxes"]
    assert boxes["clip"]["top_iou50"] < 0.3
    assert boxes["clip"]["largest_iou50"] == 1.0


def test_sound_is_scored_beside_whole_clips_and_nothing(run: Path, tmp_path: Path) -> None:
    where = world(run, tmp_path / "world", LEFT)
    assert said(localise.main, "--run", run, "--truth", where, "--out", tmp_path)[0] == 0
    sound = files.read_json(tmp_path / "localisation-test.json", "")["sound"]
    assert set(sound) == {"threshold", "segment_audio", "whole_clip", "nothing"}
    assert all(0.0 <= sound[name] <= 100.0 for name in ("segment_audio", "whole_clip", "nothing"))
    val = files.read_json(tmp_path / "localisation-test.json", "")
    assert (
        said(localise.main, "--run", run, "--truth", where, "--split", "val", "--out", tmp_path)[0]
        == 0
    )
    tuned = files.read_json(tmp_path / "localisation-val.json", "")["sound"]
    assert tuned["segment_audio"] >= tuned["whole_clip"]  # the threshold is the best of all there
    assert val["clips"] == 14


def test_figures_and_table_of_new_media(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_bag_store(tmp_path / "store")

    @contextlib.contextmanager
    def ready(*_: object, **__: object) -> Iterator[Path]:
        yield store

    monkeypatch.setattr(localise, "new_features", ready)
    frames = np.zeros((SECONDS, 60, 80, 3), np.uint8)
    monkeypatch.setattr(localise, "read_frames", lambda *_: frames)
    media = tmp_path / "film.mp4"
    assert said(
        localise.main, "--run", run, media, "--label", CLASSES[1], "--out", tmp_path / "out"
    ) == (0, "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"Car.png", "scores.parquet"}
    scores = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert len(scores) == (20 + 19) * len(CLASSES)
    assert {row["kind"] for row in scores} == {"box", "sound"}
    best = max(
        (row for row in scores if row["label"] == CLASSES[1] and row["kind"] == "box"),
        key=lambda row: row["score"],
    )
    assert f"{best['box'][0]:.2f} {best['box'][1]:.2f}" in capsys.readouterr().out


def test_media_without_picture_shows_its_sound_and_without_either_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = new_media.open_run(run)
    heard = dataclasses.replace(located(0.1, 0.9, 0.3), clip=np.ones(4, np.float32))
    scores = np.repeat(heard.sound_scores, 4, axis=1)
    heard = dataclasses.replace(heard, sound_scores=scores, box_scores=np.zeros((0, 4), np.float32))
    path = tmp_path / "out.png"
    localise.save_located(path, heard, 2, "Speech", None)
    height, width = imread(path).shape[:2]
    assert 0 < height < width / 5  # no room is kept for frames
    said_of = localise.best_table(opened, heard, ["Speech"])
    assert said_of.row_count == 1
    deaf = dataclasses.replace(
        heard, sound_starts=np.zeros(0), sound_scores=np.zeros((0, 4), np.float32)
    )
    store = tmp_path / "nothing"

    @contextlib.contextmanager
    def ready(*_: object, **__: object) -> Iterator[Path]:
        yield store

    monkeypatch.setattr(localise, "new_features", ready)
    monkeypatch.setattr(localise, "open_clips", lambda *_, **__: None)
    monkeypatch.setattr(localise, "Locator", lambda *_: SimpleNamespace(locate=lambda _: deaf))
    status, complaint = said(localise.main, "--run", run, tmp_path / "film.mp4")
    assert status == 2
    assert "has neither picture nor sound of the kind that" in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "say which run, and either media or --truth"),
        (("clip.mp4", "--truth", "demo"), "say which run, and either media or --truth"),
        (("clip.mp4", "--label", "Viloin"), "unknown label 'Viloin'; did you mean 'Violin'?"),
        (("clip.mp4",), "clip.mp4 is not a file; give a video or a sound file"),
        (("--truth", "nowhere"), "nowhere has no demo_boxes.parquet; give the folder of a demo"),
    ],
)
def test_wrong_use_is_one_sentence(run: Path, arguments: tuple[str, ...], sentence: str) -> None:
    status, complaint = said(localise.main, "--run", run, *arguments)
    assert status == 2
    assert sentence in complaint
    assert complaint.count("\n") == 1
