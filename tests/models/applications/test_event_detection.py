"""Events of media: runs of seconds, what the model decides, the table, the figures."""

import csv
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.applications import event_detection as detection
from models.applications.new_media import open_run
from models.applications.prediction import Events
from models.data.clips import open_clips
from schemas import FEATURES, JobError, Vocabulary
from tests.stores.parsing import ParsingRows


def test_runs_cover_exactly_the_decided_seconds() -> None:
    decided = np.random.default_rng(0).random((200, 10)) < 0.5
    for seconds in decided:
        spans = detection.true_runs(seconds)
        covered = np.zeros(10, bool)
        for first, last in spans:
            covered[first:last] = True
        assert (covered == seconds).all()
        assert all(after[0] > before[1] for before, after in pairwise(spans))


def test_events_are_what_the_model_decides(parsing_run: Path, small_store: Path) -> None:
    run = open_run(parsing_run)
    data = open_clips(small_store, run.needs, classes=run.classes)
    predictions = detection.predict_clips(run, data)
    seconds = 0
    for row in range(len(data.keys)):
        for detected in detection.detect_events(predictions, data, row):
            seconds += int(detected.event.offset_s - detected.event.onset_s)
            assert 0.5 <= detected.probability <= 1.0
    assert seconds == predictions.heard.sum() + predictions.seen.sum() > 0
    absent = ~data.present["vggish"].numpy()
    assert absent.any()
    assert not predictions.heard[absent].any()


def test_absence_of_any_feature_of_a_modality_counts(parsing_run: Path, small_store: Path) -> None:
    run = open_run(parsing_run)
    data = open_clips(small_store, run.needs, classes=run.classes)
    decided = {"audio": "heard", "visual": "seen"}
    for name in run.needs:
        modality = decided[FEATURES[name].modality]
        with_it = getattr(detection.predict_clips(run, data), modality)
        row = int(with_it.any(axis=(1, 2)).argmax())
        assert with_it[row].any()
        absent = data.present[name].clone()
        absent[row] = False
        without = replace(data, present={**data.present, name: absent})
        assert not getattr(detection.predict_clips(run, without), modality)[row].any()


def test_events_of_a_clip_do_not_depend_on_the_others(parsing_run: Path, tmp_path: Path) -> None:
    run = open_run(parsing_run)
    predictions = []
    for name, others in (("alone", 0), ("beside", 2)):
        writer = ParsingRows()
        short, *rest = writer.clips[-1 - others :][::-1]
        writer.clips, writer.events = [short, *rest], []
        short["n_snippets"] = 4
        keys = {clip["clip_key"] for clip in writer.clips}
        writer.snippets = [
            row
            for row in writer.snippets
            if row["clip_key"] in keys
            and (row["clip_key"] != short["clip_key"] or row["snippet_index"] < 4)
        ]
        store = writer.write(tmp_path / name)
        data = open_clips(store, run.needs, classes=run.classes)
        assert data.seconds == (10 if others else 4)
        predictions.append(detection.predict_clips(run, data))
    alone, beside = predictions
    np.testing.assert_allclose(beside.audio[0, :4], alone.audio[0], atol=1e-6)
    np.testing.assert_allclose(beside.visual[0, :4], alone.visual[0], atol=1e-6)
    assert not beside.heard[0, 4:].any()


def test_media_and_classes_may_have_any_name(
    parsing_run: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("$\\frac$", "[red]/[/bold]", "a" * 3000, "\x1b]0;title\x07\n音")
    run = replace(open_run(parsing_run), classes=names)
    data = replace(open_clips(small_store, run.needs), vocabulary=Vocabulary(names))
    not_utf8 = os.fsdecode(b"\xff$")
    media = [Path(f"{name[:200].replace('/', '|')}.mp4") for name in (*names, not_utf8)]
    Events(run, tmp_path).add(data, media)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[red]|[|bold].mp4" in shown
    with (tmp_path / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} <= set(names)
    assert media[0].stem in {row["clip_key"] for row in rows}
    assert len(list(tmp_path.glob("*.png"))) == len(media)


def test_figure_that_cannot_be_drawn_costs_no_event(
    parsing_run: Path, small_store: Path, tmp_path: Path
) -> None:
    run = open_run(parsing_run)
    data = open_clips(small_store, run.needs, classes=run.classes)
    media = [Path(f"film{row}.mp4") for row in range(2)]
    (tmp_path / "0000-film0.png").mkdir()
    with pytest.raises(JobError, match=r"0000-film0\.png cannot be written"):
        Events(run, tmp_path).add(data, media)
    with (tmp_path / "events.csv").open(newline="") as file:
        assert {row["clip_key"] for row in csv.DictReader(file)} >= {"film0", "film1"}
