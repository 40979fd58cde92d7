"""The table of features: its promises, and that stores stay as version 1 wrote them."""

from dataclasses import asdict

import pyarrow as pa
import pytest

from schemas import FEATURES, RECIPES, SNIPPETS, TABLES, Recipe, table_schema, tensor_shape
from schemas.features import (
    DEFAULT_EXTRACTORS,
    IMAGE_TABLES,
    WITHOUT_WEIGHTS,
    Feature,
    extractor_of,
    feature_tables,
)
from schemas.recipe import FRAME_SETTINGS

RECIPE = RECIPES["llp-eccv20"]


def test_columns_of_a_table_have_one_maker() -> None:
    places = [(feature.table, feature.column) for feature in FEATURES.values()]
    assert len(set(places)) == len(places)
    own = [table for table, _ in places if table != SNIPPETS]
    assert len(set(own)) == len(own)
    needs = [feature.need for feature in FEATURES.values()]
    assert len(set(needs)) == len(needs)


@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_has_its_column_in_its_table(name: str) -> None:
    feature = FEATURES[name]
    assert feature.table in TABLES
    field = table_schema(feature.table, RECIPE.with_(extractors=(name,))).field(feature.column)
    if feature.table in IMAGE_TABLES:
        assert field.type == pa.binary()
    else:
        assert tensor_shape(field) == feature.shape
        assert field.type == pa.list_(feature.dtype)
    assert set(feature.key) <= set(table_schema(feature.table).names)


def test_order_of_recipes_and_columns_stays() -> None:
    """The order is part of the recipe's hash and of the bytes of Parquet."""
    assert DEFAULT_EXTRACTORS == (
        "vggish", "resnet152", "r2plus1d", "logmel", "segments", "proposals"
    )  # fmt: skip
    assert RECIPE.hash == "7b73275313af"
    assert table_schema(SNIPPETS, RECIPE.with_(extractors=("logmel",))).names == [
        "clip_key", "snippet_index", "start_s", "valid", "vggish", "resnet152", "r2plus1d",
        "logmel",
    ]  # fmt: skip


def test_every_setting_is_in_the_hash() -> None:
    changes: list[dict[str, object]] = [
        {"name": "other"}, {"version": 9}, {"frames_per_second": 4}, {"sample_rate": 8000},
        {"sampler": "timestamp", "jpeg": False}, {"resnet152_resize": 240},
        {"resnet152_frames": "keep"}, {"vggish_relu": False}, {"vggish_pca": True},
        {"proposals_per_snippet": 3}, {"proposals_edges": "structured"},
        {"proposals_source": "selective-search"}, {"proposals_choice": "best"},
        {"proposals_overlap": 0.5}, {"proposals_context": "1.8x"}, {"proposals_type": "float16"},
        {"extractors": ("vggish",)}, {"weights": "seeded:0"}, {"precision": "bf16"},
        {"logmel_type": "float16"}, {"logmel_windows": "64ms"}, {"degrade": "noise:10"},
    ]  # fmt: skip
    frames: list[dict[str, object]] = [
        {"extractors": ("frames",), **change}
        for change in ({"frames_format": "webp"}, {"frames_side": 128}, {"frames_rate": 2})
    ]
    components: dict[str, object] = {"extractors": ("ncp",)}
    changes += [*frames, components, {**components, "ncp_windows": "loudest"}]
    assert {name for change in changes for name in change} == set(asdict(RECIPE))
    hashes = {RECIPE.hash, *(RECIPE.with_(**change).hash for change in changes)}
    assert len(hashes) == len(changes) + 1
    unused = RECIPE.with_(frames_side=128)
    assert unused.hash == RECIPE.hash
    assert RECIPE.with_(ncp_windows="loudest").hash == RECIPE.hash
    assert set(asdict(RECIPE)) - set(RECIPE.to_json()) == {
        *FRAME_SETTINGS,
        "logmel_type",
        "logmel_windows",
        "ncp_windows",
        "degrade",
        "proposals_source",
        "proposals_context",
        "proposals_type",
    }
    assert all(
        Recipe.from_json(RECIPE.with_(**change).to_json()).hash in hashes for change in changes
    )


def test_components_of_before_are_those_of_the_loudest_windows() -> None:
    loudest = RECIPE.with_(extractors=("ncp",), ncp_windows="loudest")
    assert "ncp_windows" not in loudest.to_json()
    assert Recipe.from_json(loudest.to_json()) == loudest
    every = RECIPE.with_(extractors=("ncp",))
    assert Recipe.from_json(every.to_json()) == every


def test_boxes_of_before_are_the_best_ones() -> None:
    best = RECIPE.with_(proposals_choice="best", proposals_overlap=0.3)
    assert best.hash == "60052174e494"
    assert "proposals_choice" not in best.to_json()
    assert Recipe.from_json(best.to_json()) == RECIPE.with_(proposals_choice="best")
    assert Recipe.from_json(RECIPE.to_json()) == RECIPE
    without = RECIPE.with_(extractors=("vggish",))
    assert without.with_(proposals_choice="best", proposals_overlap=0.2).hash == without.hash


@pytest.mark.parametrize("overlap", [0.0, -0.1, 1.1, float("nan")])
def test_overlap_of_boxes_is_a_share(overlap: float) -> None:
    with pytest.raises(ValueError, match=r"proposals_overlap is .*; allowed is above 0 to 1"):
        RECIPE.with_(proposals_overlap=overlap)


@pytest.mark.parametrize(("sampler", "jpeg"), [("ffmpeg-r", False), ("timestamp", True)])
def test_sampler_and_jpeg_go_together(sampler: str, jpeg: bool) -> None:
    with pytest.raises(ValueError, match=f"sampler '{sampler}' with jpeg={jpeg} is not made"):
        RECIPE.with_(sampler=sampler, jpeg=jpeg)


def test_recipe_settles_shape_and_rows() -> None:
    keep = RECIPE.with_(resnet152_frames="keep", proposals_per_snippet=3)
    assert keep.feature("resnet152").shape == (8, 2048)
    assert RECIPE.feature("resnet152").shape == (2048,)
    assert tensor_shape(table_schema(SNIPPETS, keep).field("resnet152")) == (8, 2048)
    boxes = keep.feature("proposals").stored_bytes(clips=2, seconds=20)
    assert boxes == 20 * 3 * (2048 * 4 + 8 * 4)


@pytest.mark.parametrize(
    ("name", "per_second", "per_clip"),
    [
        ("vggish", 512, 0), ("resnet152", 8192, 0), ("r2plus1d", 2048, 0), ("logmel", 25_600, 0),
        ("segments", 512 / 0.48, 0), ("proposals", 82_240, 0), ("ncp", 2500, 20 * (513 + 128) * 4),
        ("frames", 8 * 0.25 * 256 * 256 * 4 / 3, 0),
    ],
)  # fmt: skip
def test_bytes_before_compression(name: str, per_second: float, per_clip: float) -> None:
    feature = RECIPE.feature(name)
    assert feature.stored_bytes(clips=0, seconds=1) == pytest.approx(per_second)
    assert feature.stored_bytes(clips=1, seconds=0) == pytest.approx(per_clip)


def test_needs_of_models_lead_to_extractors() -> None:
    assert extractor_of("components") == "ncp"
    assert extractor_of("vggish") == "vggish"
    assert extractor_of("frames") == "frames"


PLACES = {
    "vggish": ("audio", "snippets", "vggish", "snippet", 1.0, 1.0, ("snippet_index",)),
    "resnet152": ("visual", "snippets", "resnet152", "snippet", 1.0, 1.0, ("snippet_index",)),
    "r2plus1d": ("visual", "snippets", "r2plus1d", "snippet", 1.0, 1.0, ("snippet_index",)),
    "logmel": ("audio", "snippets", "logmel", "snippet", 1.0, 1.0, ("snippet_index",)),
    "segments": ("audio", "segments", "vggish", "segment", 0.96, 0.48, ("segment_index",)),
    "proposals": ("visual", "proposals", "feature", "box", 1.0, None, ("frame_index", "rank")),
    "ncp": ("audio", "components", "vggish", "component", 1.0, None, ("component_index",)),
    "frames": ("visual", "frames", "image", "frame", 1.0, None, ("frame_index",)),
    "clip": ("visual", "snippets", "clip", "snippet", 1.0, 1.0, ("snippet_index",)),
    "clap": ("audio", "snippets", "clap", "snippet", 1.0, 1.0, ("snippet_index",)),
}
"""By extractor: modality, table, column, unit, window, hop and key."""


def test_places_and_grids_of_features() -> None:
    assert {
        name: (f.modality, f.table, f.column, f.unit, f.window_s, f.hop_s, f.key)
        for name, f in FEATURES.items()
    } == PLACES
    presence = {"audio": "has_audio", "visual": "has_video"}
    assert all(f.presence == presence[f.modality] for f in FEATURES.values())
    assert feature_tables() == ("segments", "proposals", "components", "frames")


def test_nets_and_precision_of_features() -> None:
    assert {name: f.net for name, f in FEATURES.items() if f.net} == {
        "vggish": "vggish", "resnet152": "resnet152", "r2plus1d": "r2plus1d", "segments": "vggish",
        "proposals": "resnet152", "ncp": "vggish", "clip": "clip", "clap": "clap",
    }  # fmt: skip
    half = {name for name, f in FEATURES.items() if f.half_precision}
    assert half == {"resnet152", "r2plus1d", "proposals"}
    assert {name for name, f in FEATURES.items() if f.per_frame} == {"resnet152"}
    assert {name for name, f in FEATURES.items() if not f.default} == {
        "ncp",
        "frames",
        "clip",
        "clap",
    }
    assert {"logmel", "frames"} == WITHOUT_WEIGHTS
    assert {"frames"} == IMAGE_TABLES


def test_feature_that_says_little_has_one_row_per_second_of_float32() -> None:
    plain = Feature(extractor="x", modality="audio", about="", shape=(3,))
    assert (plain.table, plain.column, plain.need) == (SNIPPETS, "x", "x")
    assert plain.key == ("snippet_index",)
    assert (plain.window_s, plain.hop_s, plain.default) == (1.0, 1.0, True)
    assert not plain.per_frame
    assert not plain.half_precision
    assert plain.row_bytes == 12
    assert plain.stored_bytes(clips=5, seconds=2) == 24
    double = Feature(extractor="x", modality="audio", about="", shape=(3,), dtype=pa.float64())
    assert double.row_bytes == 24


def test_names_by_which_models_ask() -> None:
    assert {f.need: name for name, f in FEATURES.items()} == {
        "vggish": "vggish", "resnet152": "resnet152", "r2plus1d": "r2plus1d", "logmel": "logmel",
        "segments": "segments", "proposals": "proposals", "components": "ncp", "frames": "frames",
        "clip": "clip", "clap": "clap",
    }  # fmt: skip
    assert extractor_of("unknown") == "unknown"
    assert extractor_of("proposal_contexts") == extractor_of("proposal_boxes") == "proposals"


def test_boxes_may_have_a_second_feature_and_half_the_numbers() -> None:
    both = RECIPE.with_(proposals_context="1.8x", proposals_type="float16")
    schema = table_schema("proposals", both)
    assert schema.names[-2:] == ["feature", "context"]
    assert schema.field("feature").type == schema.field("context").type == pa.binary(4096)
    assert "context" not in table_schema("proposals", RECIPE).names
    assert both.feature("proposals").row_bytes == RECIPE.feature("proposals").row_bytes == 8192
    audio = both.with_(extractors=("vggish",))
    assert audio.hash == RECIPE.with_(extractors=("vggish",)).hash
