"""Stores as tensors: what is read, in what order, and what is refused."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from models.data.clips import open_clips
from models.data.parquet import allocate
from models.data.sampling import shuffled
from models.data.streaming.clips import open_stream
from schemas import RECIPES, UsageError, table_schema, tensor_array
from tests.complaints import refusal
from tests.places import GOLDENS
from tests.stores.parsing import CLASSES, COUNTS, WIDTHS, ParsingRows

Spoil = Callable[..., Path]
NEEDS = tuple(WIDTHS)


def test_features_labels_and_truth_are_those_of_the_store(small_store: Path) -> None:
    clips, writer = open_clips(small_store, NEEDS), ParsingRows()
    assert clips.keys == tuple(row["clip_key"] for row in writer.clips)
    assert clips.seconds == 10
    for row in writer.snippets:
        place = clips.keys.index(row["clip_key"]), row["snippet_index"]
        for name, width in WIDTHS.items():
            wanted = np.zeros(width) if row[name] is None else row[name]
            np.testing.assert_allclose(clips.features[name][place].numpy(), wanted, rtol=1e-6)
            assert clips.present[name][place] == (row[name] is not None)
    for index, row in enumerate(writer.clips):
        assert {CLASSES[c] for c in clips.labels[index].nonzero().flatten()} == set(row["labels"])
    seconds = sum(one["offset_s"] - one["onset_s"] for one in writer.events)
    assert clips.truth["audio"].sum() + clips.truth["visual"].sum() == seconds
    for one in writer.events:
        where = clips.keys.index(one["clip_key"])
        span = slice(int(one["onset_s"]), int(one["offset_s"]))
        assert clips.truth[one["modality"]][where, span, CLASSES.index(one["label"])].all()
    assert clips.dense_splits == {"val", "test"}
    assert not clips.truth["audio"][clips.keys.index("test00_0_10")].any()


def test_splits_are_filtered(small_store: Path) -> None:
    clips = open_clips(small_store, NEEDS)
    for split, count in COUNTS.items():
        rows = clips.rows(split)
        assert len(rows) == count
        assert all(clips.keys[row].startswith(split) for row in rows)
    with pytest.raises(UsageError, match=r"no clip of split 'dev'; it has test 14, train 40, val"):
        clips.rows("dev")


def test_own_clips_without_a_split_are_told_where_it_is_named(small_store: Path) -> None:
    clips = open_clips(small_store, NEEDS)
    manifest = replace(clips.manifest, data={**clips.manifest.data, "dataset": "folder"})
    own = replace(clips, manifest=manifest, splits=np.full(len(clips.keys), ""))
    with pytest.raises(UsageError, match=r"it has \(none\) .*train/dog/a.wav.* labels.csv names"):
        own.rows("train")


def test_audiosets_names_of_splits_are_understood(spoiled_store: Spoil) -> None:
    names = {"train": "unbalanced_train", "val": "balanced_train", "test": "eval"}

    def rename(rows: ParsingRows) -> None:
        for row in rows.clips:
            row["split"] = names[row["split"]]

    clips = open_clips(spoiled_store(rename), ())
    assert len(clips.rows("train")) == COUNTS["train"] + COUNTS["val"]
    assert len(clips.rows("test")) == COUNTS["test"]


def test_seconds_behind_the_grid_are_not_read(spoiled_store: Spoil) -> None:
    def shorten(rows: ParsingRows) -> None:
        for row in rows.clips:
            row["n_snippets"] = 6

    root = spoiled_store(shorten)
    clips = open_clips(root, ("vggish",))
    rows = torch.tensor([0, 7])
    streamed = open_stream(root, ("vggish",)).batch(rows)
    assert clips.features["vggish"].shape[1] == 6
    assert clips.present["vggish"][rows].all()
    assert torch.equal(streamed.features["vggish"], clips.batch(rows).features["vggish"])


def test_order_of_an_epoch_depends_on_seed_and_epoch_only() -> None:
    rows = torch.arange(100, 160)
    assert shuffled(rows, 1, 1).tolist() == shuffled(rows, 1, 1).tolist()
    orders = {tuple(shuffled(rows, seed, epoch).tolist()) for seed in (1, 2) for epoch in (1, 2)}
    assert len(orders) == 4
    assert all(sorted(order) == rows.tolist() for order in orders)


def test_batches_cover_the_rows_in_order(small_store: Path) -> None:
    clips = open_clips(small_store, ("vggish",))
    rows = shuffled(clips.rows("train"), 1, 1)
    batches = list(clips.batches(rows, 16))
    assert [len(batch.labels) for batch in batches] == [16, 16, 8]
    together = torch.cat([batch.features["vggish"] for batch in batches])
    assert torch.equal(together, clips.features["vggish"][rows])


def test_large_stores_are_mapped_not_held(small_store: Path) -> None:
    held = open_clips(small_store, ("vggish",))
    mapped = open_clips(small_store, ("vggish",), memory_limit=1000)
    assert torch.equal(held.features["vggish"], mapped.features["vggish"])
    assert isinstance(allocate((10, 10), limit=399), np.memmap)
    assert not isinstance(allocate((10, 10), limit=400), np.memmap)
    assert isinstance(allocate((10, 10), arrays=2, limit=799), np.memmap)


def test_store_without_events_has_no_dense_arrays(small_store: Path, spoiled_store: Spoil) -> None:
    assert set(open_clips(small_store, ("vggish",)).truth) == {"audio", "visual"}
    weak = open_clips(spoiled_store(lambda rows: rows.events.clear()), ("vggish",))
    assert weak.truth == {}
    assert weak.dense_splits == frozenset()


def test_frames_stored_one_by_one_are_averaged(tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path)
    frames = np.random.default_rng(0).random((660, 8, 2048), dtype=np.float32)
    recipe = RECIPES["llp-eccv20"].with_(resnet152_frames="keep")
    kind = table_schema("snippets", recipe).field("resnet152")
    first = 0
    for path in sorted((root / "snippets").iterdir()):
        table = pq.read_table(path)
        part = frames[first : first + len(table)]
        column = tensor_array(part, np.ones(len(part), np.bool_), kind)
        place = table.schema.get_field_index("resnet152")
        pq.write_table(table.set_column(place, kind, column), path)
        first += len(table)
    clips = open_clips(root, ("resnet152",))
    np.testing.assert_allclose(
        clips.features["resnet152"].reshape(660, 2048), frames.mean(axis=1), rtol=1e-5
    )


def refused(root: Path, annotations: Path | None = None) -> str:
    """Return the sentence with which opening a store ends."""
    return refusal(lambda: open_clips(root, NEEDS, annotations))


def test_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    assert "holds no manifest.json" in refused(tmp_path)


def test_feature_without_values_is_refused(spoiled_store: Spoil) -> None:
    def spoil(writer: ParsingRows) -> None:
        for row in writer.snippets:
            row["r2plus1d"] = None

    assert "has no feature 'r2plus1d' in any clip (it has resnet152" in refused(
        spoiled_store(spoil)
    )


def test_missing_column_is_refused(small_store: Path, tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path)
    for path in (root / "snippets").iterdir():
        pq.write_table(pq.read_table(path).drop_columns(["vggish"]), path)
    assert "has no feature 'vggish'" in refused(root)


def test_label_outside_the_vocabulary_is_refused(spoiled_store: Spoil) -> None:
    def spoil(writer: ParsingRows) -> None:
        writer.clips[7]["labels"] = ["Dog", "Trumpet"]

    message = refused(spoiled_store(spoil))
    assert "clip train07_0_10" in message
    assert "'Trumpet'" in message


def test_event_outside_the_vocabulary_is_refused(spoiled_store: Spoil) -> None:
    def spoil(writer: ParsingRows) -> None:
        writer.events[2]["label"] = "Trumpet"

    assert "unknown label 'Trumpet'" in refused(spoiled_store(spoil))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_value_that_is_not_finite_is_refused(spoiled_store: Spoil, value: float) -> None:
    def spoil(writer: ParsingRows) -> None:
        writer.snippets[57]["resnet152"][5] = value

    message = refused(spoiled_store(spoil))
    assert "clip train05_0_10" in message
    assert "resnet152 that is not finite" in message


def test_snippet_of_an_unknown_clip_is_refused(spoiled_store: Spoil) -> None:
    def spoil(writer: ParsingRows) -> None:
        writer.snippets[3]["clip_key"] = "elsewhere_0_10"

    assert "elsewhere_0_10" in refused(spoiled_store(spoil))


def test_store_without_a_clip_is_refused(spoiled_store: Spoil) -> None:
    def spoil(writer: ParsingRows) -> None:
        writer.clips.clear()

    assert "holds no clip" in refused(spoiled_store(spoil))


def test_store_without_class_names_is_refused(spoiled_store: Spoil) -> None:
    assert "has no class names" in refused(spoiled_store(lambda writer: None, vocabulary=[]))


def test_damaged_part_is_refused(tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path)
    part = root / "snippets" / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:1000])
    assert "part-000001.parquet is named in the manifest and does not open" in refused(root)
    part.unlink()
    assert "part-000001.parquet is named in the manifest and does not open" in refused(root)


def test_damaged_page_is_refused(tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path)
    part = root / "snippets" / "part-000001.parquet"
    group = pq.ParquetFile(part).metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    start = next(one for one in columns if "vggish" in one.path_in_schema).data_page_offset
    content = bytearray(part.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    part.write_bytes(content)
    said = refused(root)
    assert "part-000001.parquet is named in the manifest and does not open" in said
    assert "\n" not in said


def flipped_unseen(part: Path) -> bytes:
    """Return the bytes of a part with one bit flipped so that it decodes to other values."""
    whole, right = part.read_bytes(), pq.read_table(part)
    for place in range(len(whole) // 4, len(whole) * 3 // 4, 97):
        content = bytearray(whole)
        content[place] ^= 1
        with suppress(OSError, pa.ArrowException):
            if not pq.read_table(pa.BufferReader(bytes(content))).equals(right):
                return bytes(content)
    pytest.fail("every flip was noticed by the decoder")


def test_flipped_bit_of_a_value_is_refused(tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path)
    part = root / "snippets" / "part-000001.parquet"
    part.write_bytes(flipped_unseen(part))
    assert "part-000001.parquet is named in the manifest and does not open" in refused(root)


def test_annotations_of_another_data_set_are_refused(
    small_store: Path, shared: Path, tmp_path: Path
) -> None:
    root = ParsingRows().write(tmp_path, dataset="llp")
    assert "belongs to a clip of" in refused(root, annotations=shared / "annotations" / "llp")


def test_annotations_replace_the_truth_of_the_store(shared: Path, tmp_path: Path) -> None:
    golden = np.load(GOLDENS / "llp_metrics.npz")
    writer, names = ParsingRows(), golden["filenames"].tolist()
    tests = [row for row in writer.clips if row["split"] == "test"]
    renamed = dict(zip((row["clip_key"] for row in tests), names, strict=False))
    for row in [*tests, *writer.snippets]:
        row["clip_key"] = renamed.get(row["clip_key"], row["clip_key"])
    writer.events = []
    for row in writer.clips:
        row["labels"] = ["Speech"]
    root = writer.write(tmp_path, dataset="llp", vocabulary=golden["categories"].tolist())
    clips = open_clips(root, NEEDS, shared / "annotations" / "llp")
    rows = clips.rows("test").numpy()
    np.testing.assert_array_equal(clips.truth["audio"][rows], golden["gt_audio"][: len(rows)])
    np.testing.assert_array_equal(clips.truth["visual"][rows], golden["gt_visual"][: len(rows)])
    assert clips.dense_splits == {"test"}
    assert clips.truth_edition == "corrected"
    first = tmp_path / "first"
    first.mkdir()
    for path in (shared / "annotations" / "llp").glob("*.csv"):
        text = path.read_text().replace(
            "KvIjsmANkxI_10_20\t0\t1\tCat", "KvIjsmANkxI_10_20`\t0\t1\tCat"
        )
        (first / path.name).write_text(text)
    assert open_clips(root, NEEDS, first).truth_edition == "first"
