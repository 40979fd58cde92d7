"""Events from scores over time: their grid, the share that is tuned, and where they are scored."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from models.contract.batch import Batch, Outputs
from models.contract.config import TaggingConfig
from models.contract.report import Thresholds
from models.data.clips import ClipData, open_clips
from models.data.streaming.clips import open_stream
from models.tasks.event_scores import EventList, event_based, segment_based
from models.tasks.psds import psds
from models.tasks.sound_events import (
    SHARES,
    SOUND_EVENT_NAMES,
    TimedTags,
    Timeline,
    fit_segment_share,
    has_sound_events,
    sound_event_scores,
)
from models.tasks.tagging import Tagging, Tags

GRID = Timeline(name="heard", hop_s=0.5, window_s=1.0)
TASK = Tagging(modalities=("audio",), selection_metric="map", timeline=GRID)
CONFIG = TaggingConfig(threshold="fixed", fixed_threshold=0.5)
SEGMENTS = 19


@pytest.fixture(scope="module")
def clips(small_store: Path) -> ClipData:
    return open_clips(small_store, ("vggish",))


def truth_over_time(clips: ClipData, rows: torch.Tensor) -> np.ndarray:
    """Return the truth of segments [N, S, C]: that of the second in which a segment's middle is."""
    middle = np.arange(SEGMENTS) * GRID.hop_s + GRID.window_s / 2
    return clips.truth["audio"][rows.numpy()][:, np.minimum(middle.astype(int), 9)]


class Listener(nn.Module):
    """A net that knows the truth over time, or nothing of it."""

    def __init__(self, clips: ClipData, level: float) -> None:
        super().__init__()
        self.clips, self.level = clips, level

    def forward(self, batch: Batch) -> Outputs:
        held = self.clips.features["vggish"]
        rows = [
            int((held == one).flatten(1).all(1).nonzero()[0]) for one in batch.features["vggish"]
        ]
        true = truth_over_time(self.clips, torch.tensor(rows))
        heard = torch.from_numpy(np.where(true, self.level, 0.1)).float()
        return Outputs(clip=heard.amax(dim=1).clamp_min(0.6), extra={"heard": heard})


def test_segments_share_a_clip_from_its_start_to_its_end() -> None:
    assert GRID.edges(SEGMENTS, 10.0)[:3].tolist() == [0.0, 0.75, 1.25]
    assert GRID.edges(SEGMENTS, 10.0)[-2:].tolist() == [9.25, 10.0]
    assert GRID.edges(SEGMENTS, 2.0).tolist() == [0.0, 0.75, 1.25, 2.0]
    assert GRID.edges(1, 2.0).tolist() == [0.0, 2.0]


def test_truth_is_known_where_the_split_has_annotated_sound(clips: ClipData) -> None:
    assert has_sound_events(clips, clips.rows("test"))
    assert not has_sound_events(clips, clips.rows("train"))
    assert has_sound_events(replace(clips, sound_events=()), clips.rows("test")) is False
    assert has_sound_events(clips, clips.rows("test")[:0]) is False
    streamed = open_stream(clips.manifest.root, ("vggish",))
    assert streamed.sound_events == clips.sound_events
    assert streamed.dense_splits == clips.dense_splits


@pytest.mark.parametrize("level", [0.3, 0.9])
def test_a_net_that_knows_the_truth_is_scored_so(clips: ClipData, level: float) -> None:
    net = Listener(clips, level)
    fitted = TASK.fit(net, clips, CONFIG)
    assert fitted.segment_share is not None
    assert min(1.5, 2 * level) - 0.06 < fitted.segment_share < 2 * level + 0.01
    assert Thresholds.from_json(fitted.to_json()) == fitted
    tags = TASK.predict(net, clips, clips.rows("test"), CONFIG)
    report = TASK.evaluate(tags, clips, "test", CONFIG, fitted)
    assert set(SOUND_EVENT_NAMES) <= set(report.metrics)
    scores = {name: cast(float, report.metrics[name]) for name in SOUND_EVENT_NAMES}
    assert scores["sed_segment_f1"] > 0.85  # segments reach a quarter of a second too far
    assert scores["sed_event_f1"] < 0.2  # which is more than the collar of 0.2 s
    assert scores["psds1"] > 0.6
    assert scores["sed_segment_er"] < 0.4
    assert report.classes is not None
    assert set(report.classes["sed_segment_f1"]) == set(clips.vocabulary.names)
    assert TASK.printed("psds1", 0.5) == 50.0
    assert TASK.printed("sed_segment_er", 0.5) == 0.5


def test_nothing_of_it_without_truth_or_timeline(clips: ClipData) -> None:
    net = Listener(clips, 0.9)
    assert TASK.predict(net, clips, clips.rows("train"), CONFIG).segments is None
    blind = replace(TASK, timeline=None)
    tags = blind.predict(net, clips, clips.rows("test"), CONFIG)
    assert tags.segments is None
    fitted = blind.fit(net, clips, CONFIG)
    assert fitted.segment_share is None
    report = blind.evaluate(tags, clips, "test", CONFIG, fitted)
    assert not set(SOUND_EVENT_NAMES) & set(report.metrics)


def test_an_event_takes_the_tag_of_its_clip_and_the_share_of_its_threshold(clips: ClipData) -> None:
    rows = clips.rows("test")[1:3]
    segments = np.zeros((2, SEGMENTS, len(clips.vocabulary)), np.float32)
    segments[:, 4:8, 0] = 0.4
    tags = Tags(rows=rows, scores=segments.max(axis=1), segments=segments)
    tags.scores[1, 0] = 0.6
    timed = TASK.timed(tags, clips)
    assert timed is not None
    thresholds = np.full(len(clips.vocabulary), 0.5)
    found = timed.detected(thresholds, 0.8)
    assert (found.clip.tolist(), found.onset.tolist(), found.offset.tolist()) == (
        [1],
        [2.25],
        [4.25],
    )
    assert not len(timed.detected(thresholds, 0.9))
    nothing = TimedTags.of(GRID, tags.scores, segments, replace(clips, sound_events=()), rows)
    assert fit_segment_share(nothing, thresholds) is None


def test_class_is_heard_where_clip_and_segment_reach_their_thresholds() -> None:
    nothing = EventList(
        clip=np.zeros(0, np.int64), label=np.zeros(0, np.int64), onset=np.zeros(0),
        offset=np.zeros(0),
    )  # fmt: skip
    timed = TimedTags(
        clip=np.array([[0.5, 0.49]], np.float32), edges=np.array([0.0, 1.0, 2.0, 3.0]),
        segments=np.array([[[0.25, 0.9], [0.24, 0.9], [0.75, 0.9]]], np.float32), true=nothing,
    )  # fmt: skip
    found = timed.detected(np.array([0.5, 0.5]), 0.5)
    assert list(zip(found.label, found.onset, found.offset, strict=True)) == [
        (0, 0.0, 1.0), (0, 2.0, 3.0)
    ]  # fmt: skip
    assert fit_segment_share(timed, np.array([0.5, 0.5])) is None


def test_segments_have_their_middle_in_the_clip() -> None:
    assert [GRID.segments(seconds) for seconds in (0.1, 0.5, 1.0, 1.01, 10.0)] == [1, 1, 1, 2, 19]
    assert GRID.edges(30, 2.0).tolist() == [0.0, 0.75, 1.25, 2.0]
    assert len(SHARES) == 31
    assert (SHARES[0], SHARES[1], SHARES[-1]) == (0.0, 0.05, 1.5)


def test_scores_are_those_of_their_definitions(clips: ClipData) -> None:
    rows = clips.rows("test")
    shape = (len(rows), SEGMENTS, len(clips.vocabulary))
    segments = np.random.default_rng(0).random(shape).astype(np.float32)
    segments += 0.1 * truth_over_time(clips, rows)
    timed = TASK.timed(Tags(rows=rows, scores=segments.max(axis=1), segments=segments), clips)
    assert timed is not None
    cuts = np.full(shape[2], 0.8)
    found, by_class = sound_event_scores(timed, cuts, 0.5, seconds=100)
    events = timed.detected(cuts, 0.5)
    pooled = segment_based(timed.true, events, len(rows), shape[2])
    matched = event_based(timed.true, events, shape[2])
    areas = psds(timed.segments, timed.edges, timed.true, len(rows) * 100.0)
    assert psds(timed.segments, timed.edges, timed.true, 1.0) != areas
    assert found == areas | {
        "sed_segment_f1": pooled.f1, "sed_segment_er": pooled.error_rate,
        "sed_event_f1": matched.f1,
    }  # fmt: skip
    np.testing.assert_array_equal(by_class["sed_segment_f1"], pooled.class_f1)
    np.testing.assert_array_equal(by_class["sed_event_f1"], matched.class_f1)
