"""Tagging: scores and thresholds of a net's outputs, and how they are written and drawn."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from models.contract.batch import Batch, Outputs
from models.contract.config import TaggingConfig
from models.contract.report import Scores, SplitReport, Thresholds
from models.data.clips import ClipData, open_clips
from models.tasks import tagging
from models.tasks.class_scores import ByClass, class_scores
from models.tasks.ontology_scores import ontology_scores
from models.tasks.tagging import TAGGING_NAMES, Tagging, Tags
from models.tasks.thresholds import class_thresholds
from schemas import UsageError
from schemas.manifests.ontology import Ontology
from tests.stores.sound_classes import write_class_files
from tests.stores.tagging import CLASSES, write_tagging_store

TASK = Tagging(modalities=("visual",), selection_metric="map")
CONFIG = TaggingConfig(threshold="fixed", fixed_threshold=0.5)
HALVES = np.full(len(CLASSES), 0.5)
NO_CLASSES = SplitReport(metrics={})


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipData:
    root = tmp_path_factory.mktemp("tagging") / "store"
    return open_clips(write_tagging_store(root, features=("vggish",)), ("vggish",))


def guesses(clips: ClipData, split: str, seed: int = 0) -> Tags:
    """Scores that lean towards the labels."""
    rows = clips.rows(split)
    labels = clips.labels[rows].float().numpy()
    noise = np.random.default_rng(seed).random(labels.shape)
    return Tags(rows=rows, scores=(0.3 * labels + 0.7 * noise).astype(np.float32))


def of_classes(tags: Tags, clips: ClipData) -> ByClass:
    return class_scores(tags.scores, tagging.truth(tags, clips), HALVES, CLASSES)


class Shares(nn.Module):
    """A net whose scores are the first values of the features."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, batch: Batch) -> Outputs:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.sizes.append(len(batch.labels))
        return Outputs(clip=batch.features["vggish"][:, 0, : len(CLASSES)])


def test_net_is_run_batch_by_batch_in_the_order_of_the_rows(clips: ClipData) -> None:
    rows = clips.rows("test").flip(0)
    net = Shares()
    net.train()
    found = tagging.predict_tags(net, clips, rows, batch_size=10)
    assert net.sizes == [10, 10, 4]
    wanted = clips.features["vggish"][rows, 0, : len(CLASSES)]
    np.testing.assert_array_equal(found.scores, wanted.numpy())
    assert torch.equal(found.rows, rows)
    again = TASK.predict(net, clips, rows, CONFIG)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert TASK.name == "tagging"
    net = Shares()
    tagging.predict_tags(net, clips, torch.arange(65) % 60)
    assert net.sizes == [64, 1]


def test_scores_at_fixed_thresholds_are_those_of_counting(clips: ClipData) -> None:
    tags = guesses(clips, "test")
    labels, said = tagging.truth(tags, clips), tags.scores >= 0.5
    found = tagging.scores(tags, clips, HALVES, CONFIG)
    assert set(found) == set(TAGGING_NAMES)
    hits = (labels & said).sum()
    assert found["micro_precision"] == pytest.approx(hits / said.sum())
    assert found["micro_recall"] == pytest.approx(hits / labels.sum())
    assert TASK.validate(tags, clips, CONFIG) == found
    report = TASK.evaluate(
        tags, clips, "test", CONFIG, Thresholds(tuned_on="val", values=tuple(HALVES))
    )
    assert report.metrics == found
    assert report.classes is not None
    by_class = 2 * (labels & said).sum(0) / (labels.sum(0) + said.sum(0))
    assert list(report.classes["f1"].values()) == pytest.approx(by_class.tolist())
    assert list(report.classes["f1"]) == list(CLASSES)
    assert (report.floor, report.confusion) == (None, None)


def test_score_that_reaches_its_threshold_is_a_label(clips: ClipData) -> None:
    rows = clips.rows("test")
    labels = clips.labels[rows].bool().numpy()
    tags = Tags(rows=rows, scores=np.where(labels, 0.5, 0.4).astype(np.float32))
    assert tagging.scores(tags, clips, HALVES, CONFIG)["micro_f1"] == 1.0
    assert set(of_classes(tags, clips)["f1"].values()) == {1.0}


def test_nothing_predicted_has_scores_of_zero(clips: ClipData) -> None:
    tags = replace(guesses(clips, "test"), scores=np.zeros((24, len(CLASSES)), np.float32))
    found = tagging.scores(tags, clips, HALVES, replace(CONFIG, unlabelled="skip"))
    assert [found[name] for name in TAGGING_NAMES[3:]] == [0.0, 0.0, 0.0]
    assert found["map"] is not None
    one = replace(guesses(clips, "test"), scores=np.eye(24, len(CLASSES), dtype=np.float32))
    listed = replace(clips, labels=torch.zeros_like(clips.labels))
    assert of_classes(one, listed)["f1"]["Bell"] == 0.0


def test_accuracy_stands_only_where_every_clip_has_one_label(clips: ClipData) -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]], np.float32)
    labels = np.array([[1, 0], [0, 1], [0, 1], [1, 0]], bool)
    assert tagging.one_label_accuracy(scores, labels) == {"accuracy": 0.75}
    labels[0] = True
    assert tagging.one_label_accuracy(scores, labels) == {}
    labels[0] = False
    assert tagging.one_label_accuracy(scores, labels) == {}
    one = torch.nn.functional.one_hot(torch.arange(len(clips.keys)) % 6, 6)
    found = tagging.scores(
        guesses(clips, "test"), replace(clips, labels=one.bool()), HALVES, CONFIG
    )
    assert set(found) == {*TAGGING_NAMES, "accuracy"}


def test_thresholds_are_tuned_as_the_settings_say(clips: ClipData) -> None:
    tags = guesses(clips, "val")
    by_class = tagging.tune(tags, clips, TaggingConfig(threshold="class"))
    wanted = class_thresholds(tags.scores, tagging.truth(tags, clips))
    np.testing.assert_array_equal(by_class, wanted)
    assert len(set(by_class.tolist())) > 1
    fitted = TASK.fit(Shares(), clips, TaggingConfig(threshold="class"))
    assert fitted.tuned_on == "val"
    net_tags = tagging.predict_tags(Shares(), clips, clips.rows("val"))
    wanted = class_thresholds(net_tags.scores, tagging.truth(net_tags, clips))
    assert fitted.values == tuple(wanted.tolist())


def test_thresholds_of_a_run_are_one_for_each_class() -> None:
    given = Thresholds(tuned_on="val", values=(0.1, 0.2))
    assert tagging.cut_values(given, 2).tolist() == [0.1, 0.2]
    for wrong, classes in ((given, 3), (given, 1), (None, 2)):
        with pytest.raises(UsageError, match="holds no threshold for each class"):
            tagging.cut_values(wrong, classes)


def test_scores_are_printed_in_per_cent_but_for_dprime() -> None:
    assert TASK.printed("map", 0.25) == 25.0
    assert TASK.printed("accuracy", 0.25) == 25.0
    assert TASK.printed("dprime", 1.5) == 1.5
    assert "dprime" not in TASK.curves
    assert "map" in TASK.curves


def test_clips_that_can_be_learned_from(clips: ClipData) -> None:
    TASK.check(clips)
    alone = torch.zeros_like(clips.labels)
    alone[:, 2] = True
    with pytest.raises(UsageError, match="shows the class 'Engine' alone"):
        TASK.check(replace(clips, labels=alone))
    assert TASK.can_validate(clips)
    assert not TASK.can_validate(replace(clips, splits=np.full(len(clips.keys), "train")))
    assert TASK.hold_out(clips) is clips
    assert TASK.written_splits(clips) == ["test", "val", "train"]
    assert TASK.partial_gradients is False


def test_split_that_tells_no_classes_apart_is_warned_of(
    clips: ClipData, caplog: pytest.LogCaptureFixture
) -> None:
    tags = guesses(clips, "test")
    cuts = Thresholds(tuned_on="val", values=tuple(HALVES))
    with caplog.at_level(logging.WARNING):
        TASK.evaluate(tags, clips, "test", CONFIG, cuts)
        assert not caplog.records
        same = replace(clips, labels=torch.ones_like(clips.labels))
        report = TASK.evaluate(tags, same, "test", CONFIG, cuts)
    assert "split 'test' tells no two classes apart" in caplog.text
    assert report.metrics["map"] is None
    assert "map" not in TASK.validate(tags, same, CONFIG)


def test_tags_are_written_clip_by_clip(clips: ClipData, tmp_path: Path) -> None:
    by_split = {split: guesses(clips, split) for split in ("test", "train")}
    reached = by_split["test"].scores[:6].diagonal()  # a score that is its threshold counts
    cuts = Thresholds(tuned_on="val", values=tuple(reached.tolist()))
    TASK.write(tmp_path / "predictions.parquet", clips, by_split.items(), cuts)
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert json.loads(table.schema.metadata[b"classes"]) == list(CLASSES)
    assert table.schema.metadata[b"subset_id"].decode() == clips.manifest.subset_id
    rows = iter(table.to_pylist())
    for split, tags in by_split.items():
        for number, scores in zip(tags.rows.tolist(), tags.scores, strict=True):
            row = next(rows)
            assert (row["clip_key"], row["split"]) == (clips.keys[number], split)
            np.testing.assert_array_equal(np.float32(row["scores"]), scores)
            said = [
                name
                for name, score, cut in zip(CLASSES, scores, cuts.values, strict=True)
                if score >= cut
            ]
            assert row["predicted"] == said
    assert next(rows, None) is None


def test_classes_are_drawn_where_there_are_scores_of_them(clips: ClipData, tmp_path: Path) -> None:
    scores: dict[str, Scores] = {
        "f1": dict.fromkeys(CLASSES, 0.5), "ap": dict.fromkeys(CLASSES, None)
    }  # fmt: skip
    for name, reports in (
        ("test", {"test": SplitReport(metrics={}, classes=scores), "train": NO_CLASSES}),
        ("last", {"fold1": NO_CLASSES, "fold2": SplitReport(metrics={}, classes=scores)}),
    ):
        (tmp_path / name).mkdir()
        TASK.draw(tmp_path / name, clips, {}, reports)
        assert (tmp_path / name / "classes.png").exists()
    (tmp_path / "none").mkdir()
    TASK.draw(tmp_path / "none", clips, {}, {})
    TASK.draw(tmp_path / "none", clips, {}, {"test": NO_CLASSES})
    assert not list((tmp_path / "none").iterdir())


def test_classes_that_count_in_the_means_are_counted(clips: ClipData) -> None:
    labels = clips.labels.clone()
    labels[:, 0] = 0
    lacking = replace(clips, labels=labels)
    thresholds = Thresholds(tuned_on="val", values=(0.5,) * len(CLASSES))
    report = TASK.evaluate(guesses(lacking, "test"), lacking, "test", CONFIG, thresholds)
    assert report.classes is not None
    defined = [value for value in report.classes["auc"].values() if value is not None]
    assert 0 < len(defined) < len(CLASSES)
    assert report.ranked == {"classes": len(CLASSES), "counted": len(defined)}


def test_batches_hold_64_clips(clips: ClipData) -> None:
    net = Shares()
    tagging.predict_tags(net, clips, clips.rows("train")[:1].repeat(130))
    assert net.sizes == [64, 64, 2]


def test_many_tags_are_written_in_row_groups(clips: ClipData, tmp_path: Path) -> None:
    rows = clips.rows("test")[:1].repeat(20_000)
    tags = Tags(rows=rows, scores=np.zeros((len(rows), len(CLASSES)), np.float32))
    tagging.write_tags(tmp_path / "tags.parquet", clips, [("test", tags)], HALVES)
    held = pq.ParquetFile(tmp_path / "tags.parquet").metadata
    assert [held.row_group(group).num_rows for group in range(held.num_row_groups)] == [
        16_384, 3_616
    ]  # fmt: skip


def test_classes_without_clips_are_named_five_of_them(
    clips: ClipData, caplog: pytest.LogCaptureFixture
) -> None:
    labels = np.zeros((4, len(CLASSES)), bool)
    tagging.warn_of_absent(~labels, clips, "val")
    assert not caplog.records
    tagging.warn_of_absent(labels, clips, "val")
    said = caplog.records[0].getMessage()
    assert said.startswith("6 of 6 classes have no clip in split 'val'")
    assert [name in said for name in CLASSES] == [True] * 5 + [False]
    labels[1, 1:] = True
    tagging.warn_of_absent(labels, clips, "val")
    assert "1 of 6 classes have no clip in split 'val' (Bell)" in caplog.text


def test_scores_of_an_ontology_stand_where_one_is_set(clips: ClipData, tmp_path: Path) -> None:
    tags = guesses(clips, "test")
    cuts = Thresholds(tuned_on="val", values=tuple(HALVES))
    assert TASK.evaluate(tags, clips, "test", CONFIG, cuts).ontology is None
    children = {"Thing": ("Engine", "Bell"), "Nature": ("Dog",), **dict.fromkeys(CLASSES, ())}
    folder = write_class_files(tmp_path, children, CLASSES, {})
    config = replace(CONFIG, ontology=str(folder / "ontology.json"))
    report = TASK.evaluate(tags, clips, "test", config, cuts)
    truth = tagging.truth(tags, clips)
    known, lists = ontology_scores(tags.scores, truth, Ontology(children), CLASSES)
    assert {name: report.metrics[name] for name in known} == pytest.approx(known)
    assert report.ontology == lists
