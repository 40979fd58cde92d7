"""Clips beside the truth: which are chosen, and what is said of each."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from models.data.clips import ClipData, open_clips
from models.tasks import timelines
from models.tasks.parsing import Predictions, write_predictions
from models.tasks.timelines import (
    EACH,
    MOST_ROWS,
    choose,
    class_names,
    f_score,
    labels_of,
    parsing_timelines,
    shown_split,
    tagging_timelines,
)
from tests.stores.parsing import CLASSES, SECONDS


@pytest.fixture(scope="module")
def clips(small_store: Path) -> ClipData:
    return open_clips(small_store, ("vggish",))


@pytest.mark.parametrize(
    ("splits", "shown"),
    [
        (["train", "val", "test"], "test"), (["val", "train"], "val"), (["train"], None),
        ([], None),
        (["other", "eval"], "other"),
    ],
)  # fmt: skip
def test_split_of_the_page(splits: list[str], shown: str | None) -> None:
    assert shown_split(splits) == shown


def test_worst_come_first_then_the_best_then_some_of_the_rest() -> None:
    keys = [f"clip{number:02d}" for number in range(20)]
    scores = [((7 * number) % 20) / 20 for number in range(20)]
    ranked = sorted(keys, key=lambda key: scores[keys.index(key)])
    chosen = choose(keys, scores)
    assert chosen["worst"] == ranked[:3]
    assert chosen["best"] == ranked[:-4:-1]
    assert len(chosen["random"]) == 3
    assert not {*chosen["random"]} & {*chosen["worst"], *chosen["best"]}
    assert choose(keys, scores) == chosen
    assert choose(keys, scores, seed=1)["random"] != chosen["random"]
    assert choose(keys[:7], [0.5] * 7) == {
        "worst": keys[:3], "best": keys[6:3:-1], "random": [keys[3]]
    }  # fmt: skip
    assert choose([], []) == {"worst": [], "best": [], "random": []}
    assert (EACH, MOST_ROWS) == (3, 10)


def test_f_counts_what_is_found_and_what_is_so() -> None:
    one, two = np.array([True, True, False, False]), np.array([False, True, True, True])
    assert f_score(one, two) == 2 / 5
    assert f_score(one, one) == 1.0
    assert f_score(~one & one, two) == 0.0
    assert f_score(~one & one, ~one & one) == 1.0


Decided = dict[str, NDArray[np.bool_]]


def write(path: Path, clips: ClipData, split: str, decided: Decided, level: float = 0.9) -> None:
    """Write decisions [N, T, C] by modality; probabilities follow them, rising with the class."""
    rows = clips.rows(split)
    rise = np.arange(len(CLASSES), dtype=np.float32) / 100
    sides = {
        side: (np.where(mask, level, 0.1) + rise).astype(np.float32)
        for side, mask in decided.items()
    }
    said = Predictions(
        rows=rows, clip=np.zeros((len(rows), len(CLASSES)), np.float32), audio=sides["audio"],
        visual=sides["visual"], heard=decided["audio"], seen=decided["visual"],
    )  # fmt: skip
    write_predictions(path, clips, [(split, said)])


def right(clips: ClipData, split: str) -> Decided:
    """The truth as decisions."""
    rows = clips.rows(split).numpy()
    return {side: clips.truth[side][rows].copy() for side in ("audio", "visual")}


def test_clips_are_ranked_by_f_over_the_seconds_of_both_modalities(
    clips: ClipData, tmp_path: Path
) -> None:
    path, rows = tmp_path / "p.parquet", clips.rows("test").tolist()
    decided = right(clips, "test")
    decided["audio"][2] = decided["visual"][2] = False  # finds nothing
    decided["visual"][4] = True  # finds everything
    write(path, clips, "test", decided)
    found = parsing_timelines(path, clips)
    assert class_names(path) == list(CLASSES)
    shown = {clip.key: clip for kind in found.values() for clip in kind}
    keys = [clips.keys[row] for row in rows]
    assert {clip.key for clip in found["worst"][:2]} == {keys[2], keys[4]}
    assert [len(found[kind]) for kind in ("worst", "best", "random")] == [3, 3, 3]
    assert all(clip.f_score == 1.0 for clip in found["best"])
    true = np.concatenate([clips.truth[side][rows[4]] for side in ("audio", "visual")])
    said = np.concatenate([decided[side][4] for side in ("audio", "visual")])
    assert shown[keys[4]].f_score == f_score(said, true)
    assert shown[keys[4]].labels == labels_of(clips, rows[4])


def test_rows_are_the_classes_that_are_so_or_found_surest_first(
    clips: ClipData, tmp_path: Path
) -> None:
    path, row = tmp_path / "p.parquet", clips.rows("test").tolist()[4]
    decided = right(clips, "test")
    decided["visual"][4] = False
    decided["visual"][4, 3, :2] = True
    write(path, clips, "test", decided)
    kinds = parsing_timelines(path, clips)
    (clip,) = [clip for kind in kinds.values() for clip in kind if clip.key == clips.keys[row]]
    for side in ("audio", "visual"):
        truth = clips.truth[side][row]
        lines = [line for line in clip.rows if line.modality == side]
        there = np.flatnonzero((decided[side][4] | truth).any(axis=0))
        assert {line.label for line in lines} == {CLASSES[index] for index in there}
        tops = [max(line.probability) for line in lines]
        assert tops == sorted(tops, reverse=True)
        for line in lines:
            column = CLASSES.index(line.label)
            assert line.truth == truth[:, column].tolist()
            assert line.predicted == decided[side][4, :, column].tolist()
            np.testing.assert_allclose(
                line.probability,
                np.where(decided[side][4, :, column], 0.9, 0.1) + column / 100, atol=1e-6,
            )  # fmt: skip


def test_without_dense_truth_labels_of_the_clip_are_compared(
    clips: ClipData, tmp_path: Path
) -> None:
    sparse = replace(clips, dense_splits=frozenset({"val"}))
    path, rows = tmp_path / "p.parquet", clips.rows("test").tolist()
    labels = clips.labels[rows].numpy() > 0.5
    nothing = np.zeros((len(rows), SECONDS, len(CLASSES)), bool)
    heard, seen = nothing.copy(), nothing.copy()
    heard[:, 0] = labels
    seen[:, 1] = labels
    heard[5] = seen[5] = False
    write(path, sparse, "test", {"audio": heard, "visual": seen})
    found = parsing_timelines(path, sparse)
    worst = found["worst"][0]
    assert (worst.key, worst.f_score) == (clips.keys[rows[5]], 0.0)
    assert [clip.f_score for clip in found["best"]] == [1.0] * 3
    assert [(line.label, line.modality, line.truth) for line in worst.rows] == [
        (CLASSES[-1], side, None) for side in ("audio", "visual")
    ]  # nothing is found: the surest class is shown
    assert all(line.truth is None for clip in found["best"] for line in clip.rows)


def test_clips_that_the_store_lacks_are_passed_over(clips: ClipData, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write(path, clips, "test", right(clips, "test"))
    keys = ("gone" if key == "test03_0_10" else key for key in clips.keys)
    fewer = replace(clips, keys=tuple(keys))
    found = parsing_timelines(path, fewer)
    assert "test03_0_10" not in {clip.key for kind in found.values() for clip in kind}
    write(path, clips, "train", right(clips, "train"))
    assert parsing_timelines(path, clips) == {}


def test_few_of_many_classes_are_shown(
    clips: ClipData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.parquet"
    decided = {side: np.ones_like(mask) for side, mask in right(clips, "test").items()}
    write(path, clips, "test", decided)
    monkeypatch.setattr(timelines, "MOST_ROWS", 2)
    clip = parsing_timelines(path, clips)["worst"][0]
    assert [(line.modality, line.label) for line in clip.rows] == [
        (side, name) for side in ("audio", "visual") for name in CLASSES[:-3:-1]
    ]


def write_tags(path: Path, rows: list[tuple[str, str, list[str], list[float]]]) -> None:
    """Write predictions of a tagging net: key, split, classes found, scores."""
    keys, splits, predicted, scores = zip(*rows, strict=True)
    table = pa.table(
        {"clip_key": keys, "split": splits, "predicted": pa.array(predicted, pa.list_(pa.string())),
         "scores": scores}
    )  # fmt: skip
    names = '["' + '","'.join(CLASSES) + '"]'
    pq.write_table(table.replace_schema_metadata({"classes": names}), path)


def test_clips_of_a_tagging_net_have_one_value_per_class(clips: ClipData, tmp_path: Path) -> None:
    rows = clips.rows("test").tolist()[:5]
    width = len(CLASSES)
    rise = [(index + 1) / 10 for index in range(width)]
    labels = [labels_of(clips, row) for row in rows]
    found = [*labels[:4], []]
    table = [(clips.keys[row], "test", found[place], rise) for place, row in enumerate(rows)]
    table += [("unknown", "test", [], rise), (clips.keys[0], "train", [], rise)]
    write_tags(tmp_path / "p.parquet", table)
    kinds = tagging_timelines(tmp_path / "p.parquet", clips)
    shown = {clip.key: clip for kind in kinds.values() for clip in kind}
    assert {*shown} == {clips.keys[row] for row in rows}
    worst = kinds["worst"][0]
    assert (worst.key, worst.f_score) == (clips.keys[rows[4]], 0.0)
    for place, row in enumerate(rows):
        clip = shown[clips.keys[row]]
        assert clip.labels == labels[place]
        assert clip.f_score == (1.0 if place < 4 else 0.0)
        wanted = [name for name in reversed(CLASSES) if name in labels[place]]
        assert [line.label for line in clip.rows] == wanted
        for line in clip.rows:
            assert line.modality == "clip"
            assert line.truth == [True]
            assert line.predicted == [place < 4]
            assert line.probability == [rise[CLASSES.index(line.label)]]


def test_surest_class_stands_for_a_clip_without_any(clips: ClipData, tmp_path: Path) -> None:
    row = clips.rows("test").tolist()[0]
    without = replace(clips, labels=clips.labels * 0)
    scores = [0.1] * len(CLASSES)
    scores[1] = 0.4
    write_tags(tmp_path / "p.parquet", [(clips.keys[row], "test", [], scores)])
    (clip,) = tagging_timelines(tmp_path / "p.parquet", without)["worst"]
    assert (clip.f_score, clip.labels) == (1.0, [])
    assert [(line.label, line.truth, line.predicted) for line in clip.rows] == [
        (CLASSES[1], [False], [False])
    ]
    write_tags(tmp_path / "p.parquet", [(clips.keys[row], "train", [], scores)])
    assert tagging_timelines(tmp_path / "p.parquet", clips) == {}
