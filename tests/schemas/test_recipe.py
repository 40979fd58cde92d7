"""Recipes: their settings and hashes, what their features are, and what is refused."""

from typing import Any

import pyarrow as pa
import pytest

from schemas import RECIPES, Recipe
from schemas.recipe import read_degradation

RECIPE = RECIPES["llp-eccv20"]


def test_named_recipes_stay_what_they_are() -> None:
    assert {name: recipe.hash for name, recipe in RECIPES.items()} == HASHES
    best = {name: one.with_(proposals_choice="best").hash for name, one in RECIPES.items()}
    assert best == BEFORE
    assert all(recipe.name == name for name, recipe in RECIPES.items())
    assert RECIPES["clean"].frames_per_second == 8
    assert RECIPES["quick"].frames_per_second == 1
    assert RECIPE.settings() == {
        "name": "llp-eccv20", "version": 2, "frames_per_second": 8, "sampler": "ffmpeg-r",
        "jpeg": True, "sample_rate": 16_000, "resnet152_resize": 256, "resnet152_frames": "mean",
        "vggish_relu": True, "vggish_pca": False, "proposals_per_snippet": 10,
        "proposals_choice": "spread", "proposals_overlap": 0.6, "proposals_edges": "gradient",
        "extractors": ("vggish", "resnet152", "r2plus1d", "logmel", "segments", "proposals"),
        "weights": "pretrained", "precision": "fp32",
    }  # fmt: skip


HASHES = {
    "llp-eccv20": "7b73275313af", "clean": "d8a319ccaad7", "quick": "681e62985992",
    "audioset-vggish": "fdf720146aa8",
}  # fmt: skip
BEFORE = {
    "llp-eccv20": "60052174e494", "clean": "cb7e8d2b06cf", "quick": "bc8e96e0baee",
    "audioset-vggish": "e8e713422ed6",
}  # fmt: skip
"""Of the same recipes with the boxes that stores of version 1 hold."""


def test_settings_that_change_nothing_do_not_count() -> None:
    frames = RECIPE.with_(extractors=("frames",))
    assert frames.stores_frames
    assert not RECIPE.stores_frames
    assert {*frames.settings()} - {*RECIPE.settings()} == {
        "frames_format", "frames_side", "frames_rate"
    }  # fmt: skip
    assert (frames.frames_side, frames.frames_rate, frames.frames_format) == (256, 8, "jpeg")
    degraded = RECIPE.with_(degrade="noise:10")
    assert {*degraded.settings()} - {*RECIPE.settings()} == {"degrade"}
    half = RECIPE.with_(logmel_type="float16")
    assert {*half.settings()} - {*RECIPE.settings()} == {"logmel_type"}
    assert "ncp_windows" not in RECIPE.settings()
    assert RECIPE.with_(extractors=("ncp",)).settings()["ncp_windows"] == "all"
    assert RECIPE.to_json() == {**RECIPE.settings(), "hash": RECIPE.hash}


def test_recipe_is_read_back_and_checked() -> None:
    assert Recipe.from_json(RECIPE.to_json()) == RECIPE
    assert Recipe.from_json(RECIPE.settings()) == RECIPE  # without a hash
    old = {**RECIPE.settings(), "extractors": ["ncp"]}
    assert Recipe.from_json(old).ncp_windows == "loudest"
    with pytest.raises(ValueError, match=f"its recipe has the hash {RECIPE.hash}, not 'other'"):
        Recipe.from_json({**RECIPE.to_json(), "hash": "other"})
    wrong: list[dict[str, Any]] = [{}, {"extractors": []}, {**RECIPE.settings(), "colour": 1}]
    for data in wrong:
        with pytest.raises(ValueError, match="it holds no recipe of this program"):
            Recipe.from_json(data)


@pytest.mark.parametrize(
    ("text", "kind", "level"),
    [
        ("noise:-100", "noise", -100), ("noise:100", "noise", 100), ("blur:0", "blur", 0),
        ("blur:50", "blur", 50), ("drop:0", "drop", 0), ("drop:1", "drop", 1),
        ("drop:0.25", "drop", 0.25),
    ],
)  # fmt: skip
def test_degradations_within_their_limits(text: str, kind: str, level: float) -> None:
    assert read_degradation(text) == (kind, level)


@pytest.mark.parametrize(
    "text",
    ["noise:-100.5", "noise:100.5", "blur:-0.1", "blur:50.1", "drop:1.1", "drop:-0.1", "noise",
     "noise:x", "fog:1", "", "noise:nan"],
)  # fmt: skip
def test_degradations_that_are_none(text: str) -> None:
    said = "is no degradation; allowed are noise:-100..100, blur:0..50, drop:0..1"
    with pytest.raises(ValueError, match=said):
        read_degradation(text)
    if text:
        with pytest.raises(ValueError, match="is no degradation"):
            RECIPE.with_(degrade=text)


def test_features_follow_the_settings() -> None:
    assert [feature.extractor for feature in RECIPE.features()] == [*RECIPE.extractors]
    half = RECIPE.with_(logmel_type="float16")
    assert half.feature("logmel").dtype == pa.float16()
    assert half.feature("vggish").dtype == pa.float32()
    assert RECIPE.feature("logmel").dtype == pa.float32()
    assert RECIPE.with_(logmel_windows="64ms").feature("logmel").shape == (24, 64)
    assert RECIPE.feature("logmel").shape == (100, 64)
    keep = RECIPE.with_(resnet152_frames="keep", frames_per_second=4)
    assert keep.feature("resnet152").shape == (4, 2048)
    assert keep.feature("r2plus1d").shape == (512,)
    boxes = RECIPE.with_(proposals_per_snippet=3)
    assert boxes.feature("proposals").rows_per_second == 3
    assert boxes.feature("segments").rows_per_second == 1 / 0.48
    stored = RECIPE.with_(frames_format="webp", frames_side=100, frames_rate=2).feature("frames")
    assert stored.rows_per_second == 2
    assert stored.other_bytes == pytest.approx(0.15 * 100 * 100 * 4 / 3)
    with pytest.raises(KeyError):
        RECIPE.feature("none")


def test_columns_of_snippets_are_the_default_ones_whatever_ran() -> None:
    for extractors in (("logmel",), ("ncp", "frames"), RECIPE.extractors):
        columns = [f.extractor for f in RECIPE.with_(extractors=extractors).snippet_features()]
        assert columns == ["vggish", "resnet152", "r2plus1d", "logmel"]
