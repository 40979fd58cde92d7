"""Per-second labels of another model come to the net as they stand in the table, or not at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.data.clips import open_clips
from models.data.pseudo_labels import read_pseudo_labels
from models.data.source import read_clip_table
from models.training.caveats import labelled_otherwise
from schemas import UsageError, read_store_manifest
from tests.stores.edits import edit_record
from tests.stores.parsing import SECONDS, ParsingRows

Rows = list[dict[str, Any]]
Write = Callable[..., Path]


def labels_of(rows: ParsingRows) -> Rows:
    """A score for each weak label in every second and modality; no two of them are equal."""
    return [
        {
            "clip_key": clip["clip_key"], "snippet_index": second, "modality": modality,
            "label": label, "score": (number * 100 + index * 10 + second) / 10_000,
        }
        for number, clip in enumerate(rows.clips)
        for index, label in enumerate(clip["labels"])
        for second in range(SECONDS)
        for modality in ("audio", "visual")
    ]  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Function that writes a store with pseudo labels, spoiled by its argument."""

    def store(spoil: Callable[[Rows], object] = len) -> Path:
        rows = ParsingRows()
        labels = labels_of(rows)
        spoil(labels)
        return rows.write(tmp_path / "store", more={"pseudo_labels": labels})

    return store


def test_batches_hold_the_scores_of_the_table(write: Write) -> None:
    root = write()
    clips = open_clips(root, ("vggish",))
    assert clips.batch(clips.rows("train")[:2]).pseudo_labels == {}
    clips = replace(clips, pseudo_labels=read_pseudo_labels(clips))
    rows = torch.tensor([5, 17])
    batch = clips.to(torch.device("cpu")).batch(rows)
    for place, number in enumerate(rows.tolist()):
        names = ParsingRows().clips[number]["labels"]
        for modality in ("audio", "visual"):
            scores = batch.pseudo_labels[modality][place]
            assert scores.shape == (SECONDS, len(clips.vocabulary))
            for index, name in enumerate(names):
                column = scores[:, clips.vocabulary.index(name)]
                wanted = (number * 100 + index * 10 + torch.arange(SECONDS)) / 10_000
                torch.testing.assert_close(column, wanted)
            assert scores.sum() == pytest.approx(
                sum(scores[:, clips.vocabulary.index(name)].sum().item() for name in names)
            )


def first(change: dict[str, Any]) -> Callable[[Rows], object]:
    return lambda rows: rows[3].update(change)


def without_clip(rows: Rows) -> None:
    rows[:] = [row for row in rows if row["clip_key"] != "train07_0_10"]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (first({"label": "Zebra"}), r"has the label 'Zebra', and the classes of the store are Dog"),
        (first({"modality": "smell"}), r"has the modality 'smell', and the modalities are audio"),
        (first({"score": float("nan")}), r"has the score nan for .* in second 1, and scores are"),
        (first({"score": 1.5}), r"has the score 1\.5 for"),
        (
            first({"snippet_index": 10}),
            r"in second 10, and the clips .* the seconds 0 to 9",
        ),
        (first({"clip_key": "other"}), r"has clip other, the table of clips has not"),
        (without_clip, r"1 of 40 training clips of .* no pseudo labels, the first is train07_0_10"),
    ],
)
def test_bad_labels_are_refused_in_one_sentence(
    write: Write, spoil: Callable[[Rows], object], sentence: str
) -> None:
    table = read_clip_table(write(spoil))
    with pytest.raises(UsageError, match=sentence) as refused:
        read_pseudo_labels(table)
    assert "\n" not in str(refused.value)


def test_store_without_labels_says_how_to_come_by_them(small_store: Path) -> None:
    with pytest.raises(UsageError, match=r"`beam run labels`.*`beam import-labels`"):
        read_pseudo_labels(read_clip_table(small_store))


def test_caveats_say_what_made_the_labels(write: Write) -> None:
    root = write()
    assert labelled_otherwise(read_store_manifest(root)) == [
        "nobody has said where the pseudo labels come from"
    ]
    imported, random = {"weights": "imported"}, {"weights": "seeded:0"}
    edit_record(root / "manifest.json", lambda held: held.update(pseudo_labels=imported))
    assert labelled_otherwise(read_store_manifest(root)) == []
    edit_record(root / "manifest.json", lambda held: held.update(pseudo_labels=random))
    assert labelled_otherwise(read_store_manifest(root)) == [
        "the pseudo labels come from random weights (seeded:0)"
    ]
