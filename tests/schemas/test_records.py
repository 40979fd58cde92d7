"""Records that travel between the parts: clips, events, labels, failures."""

import doctest
import importlib
import math
import pkgutil

import numpy as np
import pyarrow as pa
import pytest

import schemas
from schemas import Clip, Event, Failure, KnownError, Reason, Vocabulary, second_grid, tensor_shape
from schemas.events import Modality

MODULES = [module.name for module in pkgutil.walk_packages(schemas.__path__, "schemas.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_two_clips_of_one_video_have_two_keys() -> None:
    assert Clip("v", 0, 10).key == "v_0_10"
    assert Clip("v", 101.8, 111.8).key == "v_101.8_111.8"
    assert Clip("v", 0, 10, name="other").key == "other"
    assert Clip("v", 0.0, 1e6).key == "v_0_1e+06"
    assert Clip("v", 1234567.0, 1234577.5).key == "v_1234567_1234577.5"


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 3), (4, 3), (math.nan, 3)])
def test_a_clip_needs_a_stretch_of_time(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="need 0 <= start_s < end_s"):
        Clip("v", start, end)


def test_a_clip_needs_a_video() -> None:
    with pytest.raises(ValueError, match="no video id"):
        Clip("", 0, 10)


@pytest.mark.parametrize(
    ("end", "count"), [(10, 10), (9.5, 10), (9.4, 9), (0.2, 1), (1.4, 1), (math.inf, None)]
)
def test_seconds_of_a_clip_are_rounded(end: float, count: int | None) -> None:
    assert Clip("v", 0, end).n_snippets == Clip("v", 30, end + 30).n_snippets == count


def test_second_grid_is_positive_from_onset_up_to_offset() -> None:
    names = Vocabulary(("Dog", "Cat"))
    events = [
        Event("a", "audio", 1.0, 3.0, "Cat"),
        Event("a", "audio", 2.0, 4.0, "Cat"),
        Event("a", "audio", 9.0, 0.0, "Dog"),
        Event("a", "visual", 0.0, 10.0, "Dog"),
        Event("other", "audio", 0.0, 10.0, "Dog"),
        Event("b", "audio", 8.0, 400.0, "Dog"),
    ]
    grid = second_grid(events, ["a", "b"], names, "audio")
    assert grid.shape == (2, 10, 2)
    assert [tuple(int(i) for i in place) for place in np.argwhere(grid)] == [
        (0, 1, 1), (0, 2, 1), (0, 3, 1), (1, 8, 0), (1, 9, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_second_grid_of_a_class_that_is_not_known(modality: Modality) -> None:
    with pytest.raises(LookupError, match="unknown label 'Cow'; the 1 classes are Dog"):
        second_grid([Event("a", modality, 0, 1, "Cow")], ["a"], Vocabulary(("Dog",)), modality)


def test_vocabulary_refuses_repeats_and_unknown_labels() -> None:
    with pytest.raises(ValueError, match="repeat"):
        Vocabulary(("a", "a"))
    names = Vocabulary(("a", "b", "c"))
    hot = names.multi_hot([("c", "a"), (), ("b",)])
    assert hot.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    with pytest.raises(LookupError, match="unknown label 'd'"):
        names.multi_hot([("d",)])


def test_a_failure_is_tried_again_only_when_it_may_pass() -> None:
    def failure(reason: Reason) -> Failure:
        return Failure("v_0_10", "find", reason, "detail", 1, "2024-01-01T00:00:00Z")

    passing = {reason.value for reason in Reason if failure(reason).retryable}
    assert passing == {"bot_check", "rate_limited", "network", "not_found", "timeout", "internal"}
    assert str(KnownError(Reason.GONE, "deleted")) == "gone: deleted"


@pytest.mark.parametrize("text", [b"[", b'"x"', b"[0]", b"[true]", b"\xff", b"{}"])
def test_shape_that_is_none_is_named(text: bytes) -> None:
    field = pa.field("vggish", pa.list_(pa.float32()), metadata={b"shape": text})
    with pytest.raises(ValueError, match="the shape of column 'vggish' is"):
        tensor_shape(field)
