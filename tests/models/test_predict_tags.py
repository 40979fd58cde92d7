"""The command predict for runs that tag: scores, thresholds, time, folders, what it refuses."""

import contextlib
import csv
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from models import predict
from models.applications import clip_tags, new_media
from models.applications.media_files import media_below
from models.applications.new_media import NewFeatures, Run, new_features, open_run
from models.applications.prediction import timeline_table
from models.data.clips import ClipData, open_clips
from models.runtime import files
from models.tasks.sound_events import Timeline
from schemas.machine.ffmpeg import ffmpeg_binary
from tests.complaints import sentence
from tests.models.commands import refused, run_command, trained
from tests.stores.tagging import CLASSES, write_tagging_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tagging_store(tmp_path_factory.mktemp("tags") / "store", train=24, val=8, test=8)


@pytest.fixture(scope="module")
def audio_run(store: Path) -> Path:
    options = ("--threshold", "class", "--batch-size", 8)
    return trained("fayek_audio", store, store.parent / "audio", *options)


@pytest.fixture(scope="module")
def visual_run(store: Path) -> Path:
    return trained("fayek_visual", store, store.parent / "visual")


@pytest.fixture(scope="module")
def fusion_run(store: Path, audio_run: Path, visual_run: Path) -> Path:
    parts = ("--audio-run", audio_run, "--visual-run", visual_run)
    return trained("fusion-attention", store, store.parent / "fusion", *parts)


@pytest.fixture(scope="module")
def folder(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a film, in a subfolder a sound alone, and a file that is no media."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "below").mkdir()
    shutil.copy(film, folder / "film.mp4")
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-ar", "16000")
    place = folder / "below" / "sound.wav"
    subprocess.run([ffmpeg_binary(), "-v", "error", "-nostdin", *sound, str(place)], check=True)
    (folder / "notes.txt").write_text("no media")
    return folder


@pytest.fixture(scope="module")
def made(fusion_run: Path, folder: Path) -> Iterator[NewFeatures]:
    """Features of the folder's media for all runs, made by the real job."""
    with new_features(media_below(folder), open_run(fusion_run)) as features:
        yield features


@pytest.fixture
def batches(made: NewFeatures, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Names of the files whose features are asked for, batch by batch; they are there already."""
    key_of = {path.name: key for key, path in made.media.items()}
    asked: list[list[str]] = []

    @contextlib.contextmanager
    def there(media: Sequence[Path], run: Run, **options: Any) -> Iterator[NewFeatures]:
        asked.append([path.name for path in media])
        broken = [f"{path} gave no features: corrupt" for path in media if path.name not in key_of]
        yield Chosen(
            store=made.store,
            media={key_of[path.name]: path for path in media if path.name in key_of},
            failures=tuple(broken),
        )

    monkeypatch.setattr(new_media, "made_features", there)
    return asked


class Chosen(NewFeatures):
    """Some of the media of a store."""

    def open(self, run: Run) -> ClipData:
        data = super().open(run)
        rows = [row for row, key in enumerate(data.keys) if key in self.media]
        return replace(
            data,
            keys=tuple(data.keys[row] for row in rows),
            labels=data.labels[rows],
            features={name: values[rows] for name, values in data.features.items()},
            present={name: values[rows] for name, values in data.present.items()},
        )


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def tagged(audio_run: Path, folder: Path, tmp_path: Path, batches: list[list[str]]) -> Path:
    """What the audio run says of the folder."""
    out = tmp_path / "out"
    done = run_command(predict.main, folder, "--run", audio_run, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_folder_gets_every_class_of_every_clip_with_the_thresholds_of_the_run(
    audio_run: Path, tagged: Path
) -> None:
    assert [path.name for path in tagged.glob("*.csv")] == ["tags.csv"]
    rows = rows_of(tagged / "tags.csv")
    assert list(rows[0]) == ["clip_key", "label", "score", "threshold"]
    assert {row["clip_key"] for row in rows} == {"film", "sound"}
    cuts = json.loads((audio_run / "results.json").read_text())["thresholds"]["values"]
    for key in ("film", "sound"):
        own = [row for row in rows if row["clip_key"] == key]
        assert sorted(row["label"] for row in own) == sorted(CLASSES)
        scores = [float(row["score"]) for row in own]
        assert scores == sorted(scores, reverse=True)
        wanted = [cuts[CLASSES.index(row["label"])] for row in own]
        assert [float(row["threshold"]) for row in own] == pytest.approx(wanted, rel=1e-5)


def test_timeline_of_a_name_that_is_not_utf_8_has_the_key_of_the_csv() -> None:
    scores = {os.fsdecode(b"caf\xe9"): np.zeros((2, 3), np.float32)}
    table = timeline_table(
        scores, Timeline(name="segments", hop_s=1.0, window_s=2.0), ("a", "b", "c")
    )
    assert table["clip_key"].to_pylist() == ["caf\\udce9"] * 2


def test_timeline_is_that_of_the_segments_and_its_mean_is_the_clip(tagged: Path) -> None:
    table = pq.read_table(tagged / "timeline.parquet")
    assert json.loads(table.schema.metadata[b"classes"]) == list(CLASSES)
    lines = [row for row in table.to_pylist() if row["clip_key"] == "sound"]
    assert [row["start_s"] for row in lines] == pytest.approx([0.32 * row for row in range(8)])
    assert lines[0]["end_s"] == pytest.approx(0.96)
    means = np.mean([row["scores"] for row in lines], axis=0)
    rows = rows_of(tagged / "tags.csv")
    scores = {row["label"]: float(row["score"]) for row in rows if row["clip_key"] == "sound"}
    assert [scores[name] for name in CLASSES] == pytest.approx(means.tolist(), rel=1e-4)
    assert {path.name for path in tagged.glob("*.png")} == {"0000-sound.png", "0001-film.png"}


def test_fusion_fuses_what_its_runs_say_of_the_new_clip(
    fusion_run: Path,
    audio_run: Path,
    visual_run: Path,
    film: Path,
    tmp_path: Path,
    batches: list[list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, run in (("audio", audio_run), ("visual", visual_run), ("fused", fusion_run)):
        out = tmp_path / f"{name}.csv"
        done = run_command(predict.main, film, "--run", run, "--out", out)
        assert done.returncode == 0, done.stderr
    assert "fusion was trained on features from random weights (seeded:0)" in caplog.text
    assert "audio was trained on features from random" not in caplog.text  # log-mel has none
    said = {
        name: {row["label"]: float(row["score"]) for row in rows_of(tmp_path / f"{name}.csv")}
        for name in ("audio", "visual", "fused")
    }
    fusion = open_run(fusion_run)
    given = {
        side: torch.tensor([[said[side][label] for label in CLASSES]])[:, None]
        for side in ("audio", "visual")
    }
    batch = made_batch(given)
    with torch.no_grad():
        wanted = fusion.model(batch).clip[0].tolist()
    assert [said["fused"][label] for label in CLASSES] == pytest.approx(wanted, abs=1e-5)


def made_batch(features: dict[str, Any]) -> Any:
    from models.contract.batch import Batch

    present = {name: torch.ones(1, 1, dtype=torch.bool) for name in features}
    return Batch(features=features, present=present, labels=torch.zeros(1, len(CLASSES)))


def test_scores_of_a_store_are_those_that_the_training_wrote(
    store: Path, audio_run: Path, fusion_run: Path
) -> None:
    for folder in (audio_run, fusion_run):
        run = open_run(folder)
        data = open_clips(store, run.needs, classes=run.classes)
        found = dict(zip(data.keys, clip_tags.tag_clips(run, data).scores, strict=True))
        table = pq.read_table(folder / "predictions.parquet").to_pylist()
        for row in table:
            np.testing.assert_allclose(found[row["clip_key"]], row["scores"], atol=1e-5)


def test_clip_without_the_modality_is_named_and_the_others_are_done(
    visual_run: Path, folder: Path, tmp_path: Path, batches: list[list[str]]
) -> None:
    done = run_command(predict.main, folder, "--run", visual_run, "--out", tmp_path)
    complaint = sentence(done, 1)
    assert complaint.startswith("1 of 2 files gave nothing, what the others gave is written; ")
    assert "sound.wav has no pictures, and fayek_visual reads nothing else" in complaint
    assert {row["clip_key"] for row in rows_of(tmp_path / "tags.csv")} == {"film"}


def test_seconds_that_a_tagger_does_not_have_are_refused(visual_run: Path, film: Path) -> None:
    complaint = refused(predict.main, film, "--run", visual_run, "--timeline", "yes")
    assert "is a run of fayek_visual, which scores whole clips and has no seconds" in complaint


def test_what_is_wrong_with_media_shows_before_the_work(
    audio_run: Path, folder: Path, tmp_path: Path
) -> None:
    for wrong, said in (
        (folder / "notes.txt", "is no media file by its ending"),
        (folder / "nothing.mp4", "is not a file"),
        (tmp_path, "holds no media file; media end in"),
    ):
        assert said in refused(predict.main, folder, wrong, "--run", audio_run)
    film = folder / "film.mp4"
    said = refused(predict.main, film, "--run", audio_run, "--watch")
    assert said.startswith(f"--watch looks at folders, and {film} is none")


def test_run_that_a_fusion_needs_is_missed_in_one_sentence(
    fusion_run: Path, film: Path, tmp_path: Path
) -> None:
    run = tmp_path / "fusion"
    shutil.copytree(fusion_run, run)
    config = files.read_json(run / "config.json", "")
    config["settings"]["audio_run"] = str(tmp_path / "gone")
    files.write_json(run / "config.json", config)
    assert "gone has no config.json" in refused(predict.main, film, "--run", run)


def test_parts_of_other_classes_or_other_features_are_refused(
    fusion_run: Path, visual_run: Path, film: Path, tmp_path: Path
) -> None:
    run, part = tmp_path / "fusion", tmp_path / "part"
    shutil.copytree(fusion_run, run)
    shutil.copytree(visual_run, part)
    config = files.read_json(run / "config.json", "")
    config["settings"]["visual_run"] = str(part)
    files.write_json(run / "config.json", config)
    inner = files.read_json(part / "config.json", "")
    files.write_json(part / "config.json", inner | {"classes": list(CLASSES[::-1])})
    assert "which knows other classes by now" in refused(predict.main, film, "--run", run)
    recipe = {name: value for name, value in inner["recipe"].items() if name != "hash"}
    files.write_json(part / "config.json", inner | {"recipe": recipe | {"weights": "pretrained"}})
    said = refused(predict.main, film, "--run", run)
    assert "were trained on features with another weights" in said


def test_watch_takes_what_arrives_and_what_changes_once_it_rests(
    audio_run: Path,
    film: Path,
    tmp_path: Path,
    batches: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    place, out = tmp_path / "incoming", tmp_path / "tags.csv"
    place.mkdir()
    (place / "broken.mp4").write_bytes(b"no film" * 100)
    asked: list[int] = []

    def pause(seconds: float) -> None:
        asked.append(len(batches))
        if len(asked) == 2:
            shutil.copy(film, place / "film.mp4")
        if len(asked) == 4:
            os.utime(place / "film.mp4", (1, 1))
        if len(asked) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pause)
    done = run_command(predict.main, place, "--run", audio_run, "--watch", "--out", out)
    assert done.returncode == 130
    assert batches == [["broken.mp4"], ["film.mp4"], ["film.mp4"]]
    assert asked == [0, 1, 1, 2, 2, 3]  # each at the second look
    assert "broken.mp4 gave no features" in caplog.text
    assert {row["clip_key"] for row in rows_of(out)} == {"film"}


def test_two_files_of_one_stem_are_two_clips(
    audio_run: Path, folder: Path, tmp_path: Path, batches: list[list[str]]
) -> None:
    other = tmp_path / "sound.wav"
    shutil.copy(folder / "below" / "sound.wav", other)
    options = ("--run", audio_run, "--out", tmp_path / "out", "--batch-files", 1)
    done = run_command(predict.main, folder / "below", other, *options)
    assert done.returncode == 0, done.stderr
    assert batches == [["sound.wav"], ["sound.wav"]]
    rows = rows_of(tmp_path / "out" / "tags.csv")
    assert {row["clip_key"] for row in rows} == {"sound", str(other)}


def test_calibrated_scores_decide_alike_and_are_those_of_the_results(
    audio_run: Path, film: Path, tmp_path: Path, batches: list[list[str]]
) -> None:
    results = json.loads((audio_run / "results.json").read_text())
    fitted = results["thresholds"]["calibration"]
    assert fitted["fitted_on"] == "val"
    assert results["calibration"]["val"]["ece_after"] < results["calibration"]["val"]["ece_before"]
    said = []
    for name, more in (("raw", ()), ("probable", ("--calibrated",))):
        out = tmp_path / f"{name}.csv"
        done = run_command(predict.main, film, "--run", audio_run, "--out", out, *more)
        assert done.returncode == 0, done.stderr
        said.append({row["label"]: row for row in rows_of(out)})
    for label, row in said[0].items():
        other = said[1][label]
        score = float(row["score"])
        line = fitted["slope"] * np.log(score / (1 - score)) + fitted["offset"]
        assert float(other["score"]) == pytest.approx(1 / (1 + np.exp(-line)), rel=1e-3)
        decided = [float(one["score"]) >= float(one["threshold"]) for one in (row, other)]
        assert decided[0] == decided[1]


def test_run_without_calibration_says_so(audio_run: Path, film: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(audio_run, run)
    results = files.read_json(run / "results.json", "")
    results["thresholds"]["calibration"] = None
    files.write_json(run / "results.json", results)
    said = refused(predict.main, film, "--run", run, "--calibrated")
    assert "run has no calibration, which is fitted on validation clips; leave --calibrated" in said


def test_segments_of_a_clip_are_those_with_their_middle_in_it() -> None:
    grid = Timeline(name="segments", hop_s=0.32, window_s=0.96)
    assert [grid.segments(seconds) for seconds in (0.3, 1, 2, 10)] == [1, 2, 5, 30]
