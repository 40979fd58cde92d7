"""Decoded clips: what does not fit the grid of seconds is refused; the columns of tables."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from schemas import SAMPLE_RATE, ClipMedia, Components, Proposals
from schemas.media import StoredFrames


def clip(**changes: Any) -> ClipMedia:
    """Return a clip of two seconds, two frames each."""
    facts: dict[str, Any] = {
        "clip_key": "v", "n_snippets": 2, "waveform": np.arange(2 * SAMPLE_RATE, dtype=np.float32),
        "frames": np.zeros((4, 2, 2, 3), np.uint8), "audio_valid": np.ones(2, bool),
        "frames_valid": np.ones(2, bool), "per_snippet": 2,
    }  # fmt: skip
    return ClipMedia(**facts | changes)


def test_waveform_is_cut_into_seconds() -> None:
    cut = clip().waveform_by_second()
    assert cut.shape == (2, SAMPLE_RATE)
    assert cut[1, 0] == SAMPLE_RATE
    with pytest.raises(ValueError, match="clip v has no audio"):
        clip(waveform=None).waveform_by_second()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_snippets": 0}, "clip v: self.n_snippets=0, need at least 1"),
        ({"waveform": np.zeros(SAMPLE_RATE)}, r"clip v: waveform is \(16000,\), need \(32000,\)"),
        ({"waveform": np.zeros((2, SAMPLE_RATE))}, r"waveform is \(2, 16000\), need \(32000,\)"),
        ({"frames": np.zeros((3, 2, 2, 3))}, "clip v: 3 frames, need 4"),
        ({"frames": np.zeros((5, 2, 2, 3))}, "clip v: 5 frames, need 4"),
        ({"per_snippet": 1}, "clip v: 4 frames, need 2"),
    ],
)
def test_what_does_not_fit_the_grid_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        clip(**changes)


def test_clip_may_lack_a_modality_and_last_one_second() -> None:
    assert clip(waveform=None).frames is not None
    assert clip(frames=None).waveform is not None
    one = ClipMedia(
        clip_key="v", n_snippets=1, waveform=None, frames=np.zeros((8, 2, 2, 3), np.uint8),
        audio_valid=np.ones(1, bool), frames_valid=np.ones(1, bool),
    )  # fmt: skip
    assert one.per_snippet == 8


def test_columns_of_tables() -> None:
    index = np.arange(2, dtype=np.int32)
    boxes = np.arange(8, dtype=np.float32).reshape(2, 4)
    found = Proposals(
        snippet_index=index, frame_index=index + 1, rank=index + 2, boxes=boxes,
        score=boxes[:, 0] + 9, feature=np.zeros((2, 2048), np.float32),
    )  # fmt: skip
    rows = found.columns()
    assert {name: np.asarray(rows[name]).tolist() for name in rows if name != "feature"} == {
        "snippet_index": [0, 1], "frame_index": [1, 2], "rank": [2, 3], "x0": [0, 4], "y0": [1, 5],
        "x1": [2, 6], "y1": [3, 7], "score": [9, 13],
    }  # fmt: skip
    both = replace(found, context=np.ones((2, 2048), np.float32)).columns()
    assert list(both) == [*rows, "context"]
    assert np.asarray(both["context"]).min() == 1
    with pytest.raises(ValueError, match="zip"):
        Proposals(
            snippet_index=index, frame_index=index, rank=index, score=boxes[:, 0], feature=boxes,
            boxes=np.zeros((2, 5), np.float32),
        ).columns()  # fmt: skip
    frames = StoredFrames(
        snippet_index=index, frame_index=index, width=index, height=index, image=[b"a", b"b"]
    ).columns()
    assert list(frames) == ["snippet_index", "frame_index", "width", "height", "image"]
    assert frames["image"] == [b"a", b"b"]
    w, h, vggish = (np.ones((3, size), np.float32) for size in (513, 31, 128))
    parts = Components(w=w, h=h, vggish=vggish)
    components = parts.columns()
    assert np.asarray(components["component_index"]).tolist() == [0, 1, 2]
    assert [np.shape(components[name]) for name in ("w", "h", "vggish")] == [
        (3, 513), (3, 31), (3, 128)
    ]  # fmt: skip
