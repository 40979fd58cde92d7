"""Parsing: what is decided from a net's outputs, how it is scored, written and drawn."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.config import TrainConfig
from models.data.clips import ClipData, open_clips
from models.metrics import AVVP_NAMES, avvp_class_scores, avvp_scores, modality_confusion
from models.tasks import parsing
from models.tasks.parsing import Parsing, Predictions, gates
from tests.stores.parsing import CLASSES, SECONDS

BOTH, HEARD_ONLY = Parsing(modalities=("audio", "visual")), Parsing(modalities=("audio",))
CONFIG = TrainConfig()


@pytest.fixture(scope="module")
def clips(small_store: Path) -> ClipData:
    return open_clips(small_store, ("vggish",))


def guesses(clips: ClipData, split: str, seed: int = 0) -> Predictions:
    """Decisions that are right half of the time, and probabilities to the digit of float32."""
    random = np.random.default_rng(seed)
    rows = clips.rows(split)
    shape = (len(rows), SECONDS, len(CLASSES))
    found: dict[str, NDArray[np.bool_]] = {
        name: clips.truth[name][rows.numpy()] & (random.random(shape) < 0.7)
        | (random.random(shape) < 0.05)
        for name in ("audio", "visual")
    }
    return Predictions(
        rows=rows, clip=random.random((len(rows), len(CLASSES)), np.float32),
        audio=random.random(shape, np.float32), visual=random.random(shape, np.float32),
        heard=found["audio"], seen=found["visual"],
    )  # fmt: skip


def test_gate_is_that_of_the_modality_of_both_or_of_the_better_one() -> None:
    clip, audio, visual = (
        torch.tensor([values]) for values in ([0.1, 0.9], [0.2, 0.8], [0.7, 0.3])
    )
    whole = Outputs(clip=clip, clip_audio=audio, clip_visual=visual)
    assert [one.tolist() for one in gates(whole, "modality")] == [audio.tolist(), visual.tolist()]
    assert all(torch.equal(one, clip) for one in gates(whole, "joint"))
    higher = torch.tensor([[0.7, 0.8]])
    assert all(torch.equal(one, higher) for one in gates(whole, "larger"))
    lacking = gates(Outputs(clip=clip, clip_visual=visual), "modality")
    assert [one.tolist() for one in lacking] == [clip.tolist(), visual.tolist()]
    lacking = gates(Outputs(clip=clip, clip_audio=audio), "modality")
    assert [one.tolist() for one in lacking] == [audio.tolist(), clip.tolist()]


class Told(nn.Module):
    """A net that says what it was told, batch after batch."""

    def __init__(self, outputs: Iterator[Outputs]) -> None:
        super().__init__()
        self.outputs = outputs
        self.sizes: list[int] = []

    def forward(self, batch: Batch) -> Outputs:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.sizes.append(len(batch.labels))
        return next(self.outputs)


def seconds(*values: float) -> Tensor:
    """Probabilities [B, T, C] that are the same in every second and class."""
    return torch.tensor(values)[:, None, None].expand(-1, SECONDS, len(CLASSES))


def test_class_is_in_a_second_when_clip_and_second_reach_a_half(clips: ClipData) -> None:
    gate = torch.tensor([0.5, 0.49, 0.9])[:, None].expand(-1, len(CLASSES))
    audio = seconds(0.5, 0.9, 0.49)
    told = [Outputs(clip=gate[:2], audio=audio[:2]), Outputs(clip=gate[2:], audio=audio[2:])]
    net = Told(iter(told)).train()
    found = parsing.predict(net, clips, clips.rows("test")[:3], CONFIG, batch_size=2)
    assert net.sizes == [2, 1]
    assert found.heard.all(axis=(1, 2)).tolist() == [True, False, False]
    assert found.heard.any(axis=(1, 2)).tolist() == [True, False, False]
    assert not found.seen.any()
    assert not found.visual.any()
    np.testing.assert_array_equal(found.clip, gate.numpy())
    np.testing.assert_array_equal(found.audio, audio.numpy())
    one = next(clips.batches(clips.rows("test")[:1], 1))
    assert len(one.labels) == 1
    seen = Told(iter([Outputs(clip=gate[:1], visual=audio[:1])]))
    found = BOTH.predict(seen, clips, clips.rows("test")[:1], CONFIG)
    assert found.seen.all()
    assert not found.heard.any()


def test_scores_are_those_of_the_modalities_that_are_parsed(clips: ClipData) -> None:
    predictions = guesses(clips, "test")
    rows = predictions.rows.numpy()
    truth = clips.truth["audio"][rows], clips.truth["visual"][rows]
    scores = avvp_scores(predictions.heard, predictions.seen, *truth)
    assert BOTH.validate(predictions, clips, CONFIG) == scores
    names = ("segment_audio", "event_audio")
    assert set(HEARD_ONLY.validate(predictions, clips, CONFIG)) == set(names)
    assert parsing.score_names(("audio", "visual")) == AVVP_NAMES
    assert set(parsing.score_names(("visual",))) == {"segment_visual", "event_visual"}
    assert HEARD_ONLY.validate(predictions, clips, CONFIG) == {name: scores[name] for name in names}
    assert (BOTH.selection_metric, HEARD_ONLY.selection_metric) == (
        "segment_type_av", "segment_audio"
    )  # fmt: skip
    chosen = replace(BOTH, selected_by="event_audio")
    assert chosen.selection_metric == "event_audio"
    assert set(BOTH.curves) == {name for name in AVVP_NAMES if name.startswith("segment_")}
    assert HEARD_ONLY.curves == ("segment_audio",)
    assert BOTH.printed("segment_audio", 41.5) == 41.5
    assert BOTH.can_validate(clips)
    assert not BOTH.can_validate(replace(clips, dense_splits=frozenset({"test"})))
    assert BOTH.hold_out(clips) is clips
    assert BOTH.written_splits(clips) == ["test", "val"]


def test_report_has_floor_intervals_classes_and_confusion(clips: ClipData) -> None:
    predictions = guesses(clips, "test")
    rows = predictions.rows.numpy()
    truth = clips.truth["audio"][rows], clips.truth["visual"][rows]
    report = BOTH.evaluate(predictions, clips, "test", CONFIG, None)
    assert report.metrics == parsing.parsing_scores(predictions, clips, BOTH.modalities)
    nothing = np.zeros_like(truth[0])
    assert report.floor == avvp_scores(nothing, nothing, *truth)
    assert report.intervals is not None
    for name, value in report.metrics.items():
        low, high = report.intervals[name]
        assert low < float(value or 0) < high
    wanted = avvp_class_scores(predictions.heard, predictions.seen, *truth)
    assert report.classes is not None
    assert report.classes.keys() <= set(AVVP_NAMES)
    assert report.classes.keys() == wanted.keys() & set(AVVP_NAMES)
    for name, by_class in report.classes.items():
        assert list(by_class) == list(CLASSES)
        np.testing.assert_array_equal(
            [np.nan if value is None else value for value in by_class.values()], wanted[name]
        )
    confused = modality_confusion(predictions.heard, predictions.seen, *truth)
    assert report.confusion == confused.tolist()
    one = HEARD_ONLY.evaluate(predictions, clips, "test", CONFIG, None)
    assert one.confusion is None
    assert one.classes is not None
    assert set(one.classes) <= {"segment_audio", "event_audio"}


def test_class_that_does_not_occur_has_no_score(clips: ClipData) -> None:
    rows = clips.rows("test")
    blind = {name: truth.copy() for name, truth in clips.truth.items()}
    for truth in blind.values():
        truth[..., 2] = False
    emptied = replace(clips, truth=blind)
    predictions = guesses(emptied, "test")
    decided = {name: getattr(predictions, name).copy() for name in ("heard", "seen")}
    for mask in decided.values():
        mask[..., 2] = False
    found = parsing.class_scores(replace(predictions, rows=rows, **decided), emptied, ("audio",))
    assert [name for name, value in found["segment_audio"].items() if value is None] == ["Speech"]


def test_split_without_dense_truth_has_scores_of_tags(clips: ClipData) -> None:
    predictions = guesses(clips, "train")
    report = BOTH.evaluate(predictions, clips, "train", CONFIG, None)
    assert "map" in report.metrics
    assert (report.floor, report.intervals, report.classes, report.confusion) == (None,) * 4
    one_kind = replace(clips, labels=torch.ones_like(clips.labels))
    metrics = parsing.split_scores(predictions, one_kind, "train", BOTH.modalities)
    assert metrics["mauc"] is None
    right = replace(predictions, clip=clips.labels[predictions.rows].float().numpy())
    assert parsing.split_scores(right, clips, "train", BOTH.modalities)["map"] == 1.0


def test_clips_with_events_in_both_modalities_are_drawn_first(clips: ClipData) -> None:
    predictions = guesses(clips, "test")
    keys, decided, truth = parsing.timeline_masks(clips, predictions)
    assert keys == ["test01_0_10", "test02_0_10", "test03_0_10", "test04_0_10"]
    np.testing.assert_array_equal(decided[:, 0], predictions.heard[1:5])
    np.testing.assert_array_equal(decided[:, 1], predictions.seen[1:5])
    rows = predictions.rows.numpy()[1:5]
    np.testing.assert_array_equal(truth[:, 0], clips.truth["audio"][rows])
    np.testing.assert_array_equal(truth[:, 1], clips.truth["visual"][rows])
    half = {name: mask.copy() for name, mask in clips.truth.items()}
    half["audio"][rows] = False
    keys, _, _ = parsing.timeline_masks(replace(clips, truth=half), predictions)
    assert keys == [f"test{number:02d}_0_10" for number in range(5, 9)]


def test_predictions_are_written_second_by_second(clips: ClipData, tmp_path: Path) -> None:
    by_split = {split: guesses(clips, split) for split in ("val", "test")}
    BOTH.write(tmp_path / "predictions.parquet", clips, by_split.items(), None)
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert json.loads(table.schema.metadata[b"classes"]) == list(CLASSES)
    rows = table.to_pylist()
    assert len(rows) == SECONDS * (12 + 14)
    place = 0
    for split, said in by_split.items():
        for clip, number in enumerate(said.rows.tolist()):
            for second in range(SECONDS):
                row = rows[place]
                place += 1
                assert (row["clip_key"], row["split"], row["second"]) == (
                    clips.keys[number], split, second
                )  # fmt: skip
                for name in ("heard", "seen"):
                    (chosen,) = np.nonzero(getattr(said, name)[clip, second])
                    assert row[name] == [CLASSES[column] for column in chosen]
                for name in ("audio", "visual"):
                    np.testing.assert_array_equal(row[name], getattr(said, name)[clip, second])
                np.testing.assert_array_equal(row["clip"], said.clip[clip])


def test_pictures_are_drawn_of_test_clips_with_dense_truth(clips: ClipData, tmp_path: Path) -> None:
    predictions = {"test": guesses(clips, "test")}
    report = BOTH.evaluate(predictions["test"], clips, "test", CONFIG, None)
    BOTH.draw(tmp_path, clips, predictions, {"test": report})
    assert {path.name for path in tmp_path.iterdir()} == {"timelines.png", "confusion.png"}
    (tmp_path / "none").mkdir()
    sparse = replace(clips, dense_splits=frozenset({"val"}))
    BOTH.draw(tmp_path / "none", sparse, predictions, {"test": replace(report, confusion=None)})
    BOTH.draw(tmp_path / "none", sparse, predictions, {"val": report})
    assert not list((tmp_path / "none").iterdir())
