"""Classes one by one: what a fusion gains on each, and where that is not drawn."""

import logging

import numpy as np
import pytest
import torch

from models.data.clips import ClipData, open_clips
from models.data.scored import ScoredClips, ScoreTable
from models.data.source import ClipTable
from models.metrics import average_precision
from models.tasks import class_scores
from models.tasks.class_scores import by_name, class_gains
from models.tasks.intervals import gain_intervals
from tests.stores.tagging import CLASSES, write_tagging_store


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipData:
    root = tmp_path_factory.mktemp("gains") / "store"
    return open_clips(write_tagging_store(root, features=("vggish",)), ("vggish",))


def scored(clips: ClipData) -> ScoredClips:
    """Clips with made-up scores of two nets, of which one knows each half of the classes."""
    tables = {}
    for number, side in enumerate(("audio", "visual")):
        tables[side] = ScoreTable(len(clips.keys), len(CLASSES))
        random = np.random.default_rng(number)
        scores = random.random(clips.labels.shape).astype(np.float32)
        half = slice(3) if side == "audio" else slice(3, None)
        scores[:, half] += 0.5 * clips.labels.numpy()[:, half]
        tables[side].write(np.arange(len(clips.keys)), scores)
    facts = {name: getattr(clips, name) for name in ClipTable.__dataclass_fields__}
    there = dict.fromkeys(tables, np.ones(len(clips.keys), bool))
    return ScoredClips(**facts, scores=tables, there=there)


def test_gain_is_over_the_better_net_of_each_class(
    clips: ClipData, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data, rows = scored(clips), clips.rows("test")
    labels = clips.labels[rows].numpy() > 0.5
    single = [table.read(rows.numpy()) for table in data.scores.values()]
    fused = np.add(*single)
    found = class_gains(fused, labels, data, rows)
    assert list(found) == ["audio_ap", "visual_ap", "gain", "gain_low", "gain_high"]
    audio, visual = (average_precision(one, labels) for one in single)
    assert list(found["audio_ap"].values()) == pytest.approx(audio)
    assert list(found["visual_ap"].values()) == pytest.approx(visual)
    gain = average_precision(fused, labels) - np.maximum(audio, visual)
    assert list(found["gain"].values()) == pytest.approx(gain)
    low, high = gain_intervals(fused, single, labels)
    assert list(found["gain_low"].values()) == pytest.approx(low)
    assert list(found["gain_high"].values()) == pytest.approx(high)
    monkeypatch.setattr(class_scores, "MOST_PAIRS", labels.size - 1)
    with caplog.at_level(logging.INFO):
        assert list(class_gains(fused, labels, data, rows)) == ["audio_ap", "visual_ap", "gain"]
    assert f"{len(labels)} clips are too many for intervals of the gains" in caplog.text


def test_class_without_a_clip_has_no_gain(clips: ClipData) -> None:
    data, rows = scored(clips), clips.rows("test")
    labels = clips.labels[rows].numpy() > 0.5
    labels[:, 2] = False
    found = class_gains(np.ones(labels.shape, np.float32), labels, data, rows)
    assert {found[name][CLASSES[2]] for name in found} == {None}
    assert found["gain"][CLASSES[0]] is not None
    assert torch.is_tensor(rows)
    assert by_name(np.array([np.nan, 2.0]), ("a", "b")) == {"a": None, "b": 2.0}
