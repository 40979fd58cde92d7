"""The command localise: a made-up truth, a real features job, and what it refuses."""

from pathlib import Path
from typing import Any

import h5py
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models import localise
from models.runtime import files
from models.tasks.sound_events import SOUND_EVENT_NAMES
from models.training import run_folder as runs
from schemas.demo import BOXES_FILE
from schemas.manifests import ave
from tests.models.commands import refused, run_command
from tests.models.conftest import trained
from tests.stores.bags import BAG_RECIPE, bag_rows
from tests.stores.parsing import CLASSES, SECONDS, ParsingRows

LEFT, RIGHT = (0.1, 0.1, 0.4, 0.4), (0.6, 0.1, 0.9, 0.9)


def measured(run: Path, truth: Path, out: Path, split: str = "test") -> dict[str, Any]:
    """Return what the command measures against a truth."""
    options = ("--run", run, "--truth", truth, "--split", split, "--out", out)
    assert run_command(localise.main, *options).returncode == 0
    return files.read_json(out / f"localisation-{split}.json", "")


def world(instances_run: Path, folder: Path, box: tuple[float, ...]) -> Path:
    """A demo world in which the first class of a clip is always seen in the same box."""
    facts = files.read_json(instances_run / runs.CONFIG, "")
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


def test_top_box_finds_what_the_class_looks_like(instances_run: Path, tmp_path: Path) -> None:
    truth = world(instances_run, tmp_path / "world", LEFT)
    measures = measured(instances_run, truth, tmp_path)
    boxes, of_classes = measures["boxes"], measures["box_classes"].values()
    for name in ("top_pointing", "top_iou30", "top_iou50", "top_iou"):
        shares = [rates["cases"] * rates[name] for rates in of_classes]
        assert sum(shares) / 14 == pytest.approx(boxes["clip"][name])
    assert boxes["clip"]["any_iou"] >= boxes["clip"]["top_iou"] > boxes["clip"]["random_iou"]
    for kind in ("clip", "event"):
        assert boxes[kind]["cases"] == 14
        assert boxes[kind]["any_iou50"] == 1.0
        assert boxes[kind]["random_iou50"] == pytest.approx(0.5)
        assert boxes[kind]["largest_iou50"] == 0.0
        assert boxes[kind]["top_iou50"] > 0.7
    turned = world(instances_run, tmp_path / "turned", RIGHT)
    boxes = measured(instances_run, turned, tmp_path)["boxes"]
    assert boxes["clip"]["top_iou50"] < 0.3
    assert boxes["clip"]["largest_iou50"] == 1.0


def test_audio_is_scored_beside_whole_clips_and_nothing(
    instances_run: Path, tmp_path: Path
) -> None:
    truth = world(instances_run, tmp_path / "world", LEFT)
    measures = measured(instances_run, truth, tmp_path)
    scores = measures["sound"]
    assert set(scores) == {"threshold", "segment_audio", "whole_clip", "nothing"}
    assert all(0.0 <= scores[name] <= 100.0 for name in scores if name != "threshold")
    assert measures["clips"] == 14
    assert set(measures["sound_events"]) == set(SOUND_EVENT_NAMES)
    tuned = measured(instances_run, truth, tmp_path, "val")["sound"]
    assert tuned["segment_audio"] >= tuned["whole_clip"]  # the threshold is the best of all there


@pytest.fixture(scope="module")
def ave_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a store of AVE whose table of events is empty."""
    rows = ParsingRows()
    rows.events = []
    more = bag_rows(rows.clips)
    for clip in rows.clips:
        clip["labels"] = [ave.CLASSES[CLASSES.index(label)] for label in clip["labels"]]
    store = tmp_path_factory.mktemp("store")
    rows.write(store, recipe=BAG_RECIPE, more=more, dataset="ave", vocabulary=ave.CLASSES)
    options = ("--learning-rate", 0.01, "--hidden", 8, "--dropout", 0, "--epochs", 4)
    return trained(tmp_path_factory, "two_stream", store, *options)


def annotations(run: Path, folder: Path) -> Path:
    """Annotation files of AVE: the first label of every clip from 2 to 5 s."""
    facts = files.read_json(run / runs.CONFIG, "")
    clips = pq.read_table(Path(facts["features"]) / "clips").to_pylist()
    folder.mkdir()
    lines = [f"{clip['labels'][0]}&{clip['video_id']}&good&2&5" for clip in clips]
    (folder / "Annotations.txt").write_text("\n".join(["Category&VideoID&Quality", *lines]) + "\n")
    for split in ("train", "val", "test"):
        with h5py.File(folder / f"{split}_order.h5", "w") as file:
            file["order"] = [row for row, clip in enumerate(clips) if clip["split"] == split]
    return folder


def test_times_are_scored_against_annotation_files(ave_run: Path, tmp_path: Path) -> None:
    results = files.read_json(ave_run / runs.RESULTS, "")
    assert not set(SOUND_EVENT_NAMES) & set(results["metrics"]["test"])  # the store has no events
    measures = measured(ave_run, annotations(ave_run, tmp_path / "ave"), tmp_path)
    assert set(measures) == {"split", "clips", "sight", "sound", "sound_events"}
    assert set(measures["sight"]) == {"threshold", "segment_visual", "whole_clip", "nothing"}
    assert set(measures["sound_events"]) == set(SOUND_EVENT_NAMES)
    assert measures["sound"]["segment_audio"] > measures["sound"]["nothing"]


def test_truth_of_another_data_set_is_one_sentence(
    ave_run: Path, instances_run: Path, tmp_path: Path
) -> None:
    folder = annotations(ave_run, tmp_path / "ave")
    complaint = refused(localise.main, "--run", instances_run, "--truth", folder)
    assert "has no demo_boxes.parquet; give the folder of a demo world" in complaint
    world_folder = world(instances_run, tmp_path / "world", LEFT)
    complaint = refused(localise.main, "--run", ave_run, "--truth", world_folder)
    assert "Annotations.txt" in complaint
    other = (folder / "Annotations.txt").read_text().replace("&good", "x&good")
    (folder / "Annotations.txt").write_text(other)
    complaint = refused(localise.main, "--run", ave_run, "--truth", folder)
    assert "belongs to a clip of" in complaint
    assert "give the annotation files of the same data set" in complaint


def test_film_goes_through_the_real_features_job(
    instances_run: Path, film: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ("--run", instances_run, film, "--label", CLASSES[1], "--out", out)
    done = run_command(localise.main, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in out.iterdir()} == {
        "Car.png", "localisation.html", "scores.parquet"
    }  # fmt: skip
    rows = pq.read_table(out / "scores.parquet").to_pylist()
    assert {row["kind"] for row in rows} == {"box", "sound"}
    assert {row["label"] for row in rows} == set(CLASSES)
    assert "Car" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "say which run, and either media or --truth"),
        (("clip.mp4", "--truth", "demo"), "say which run, and either media or --truth"),
        (("clip.mp4", "--label", "Viloin"), "unknown label 'Viloin'; did you mean 'Violin'?"),
        (("clip.mp4",), "clip.mp4 is not a file; give a video or an audio file"),
        (("--truth", "nowhere"), "nowhere has no demo_boxes.parquet; give the folder of a demo"),
    ],
)
def test_wrong_use_is_one_sentence(
    instances_run: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    complaint = refused(localise.main, "--run", instances_run, *arguments)
    assert sentence in complaint
