"""`beam export --to npy`: the LLP authors' programs read what it writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.commands.exchange.npy_export import hashed_name
from schemas import tensor_values
from tests.complaints import sentence
from tests.pipelines.conftest import Beam
from tests.stores import parsing, writer
from tests.stores.compare import read_table
from tests.stores.parsing import CLASSES, SECONDS, WIDTHS, ParsingRows

KEYS = ("BjCEufrlXm4_20_30", "7nSYwyaP4QE_50_60")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ParsingRows().write(tmp_path_factory.mktemp("npy") / "store")


def load_as_theirs(folder: Path, labels: str, index: int) -> dict[str, Any]:
    """One clip as the authors' data set class finds it: by row, 11 characters and last column."""
    row = pd.read_csv(folder / labels, header=0, sep="\t").iloc[index]
    name = row.iloc[0][:11]
    feats = {sub: folder / "feats" / sub for sub in ("vggish", "res152", "r2plus1d_18")}
    arrays: dict[str, Any] = {sub: np.load(path / f"{name}.npy") for sub, path in feats.items()}
    return {**arrays, "filename": row.iloc[0], "labels": row.iloc[-1].split(",")}


def test_loader_of_the_authors_reads_every_clip(store: Path, tmp_path: Path, beam: Beam) -> None:
    out = tmp_path / "data"
    done = beam("export", store, "--to", "npy", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "66 clips" in done.stdout
    assert "--resnet152-frames keep" in done.stdout
    clips = {row["clip_key"]: row for row in read_table(store, "clips").to_pylist()}
    rows = read_table(store, "snippets")
    values = {
        name: tensor_values(rows[name].combine_chunks(), (width,))[0]
        for name, width in WIDTHS.items()
    }
    first = {key: index for index, key in reversed(list(enumerate(rows["clip_key"].to_pylist())))}
    for split, file in (("train", "AVVP_train"), ("val", "AVVP_val_pd"), ("test", "AVVP_test_pd")):
        count = parsing.COUNTS[split]
        assert len(pd.read_csv(out / f"{file}.csv", sep="\t")) == count
        for index in range(count):
            sample = load_as_theirs(out, f"{file}.csv", index)
            key = sample["filename"][12:]
            assert sample["filename"] == hashed_name(key)
            assert (clips[key]["split"], clips[key]["labels"]) == (split, sample["labels"])
            of_clip = slice(first[key], first[key] + SECONDS)
            for sub, name, times in (
                ("vggish", "vggish", 1), ("res152", "resnet152", 8), ("r2plus1d_18", "r2plus1d", 1)
            ):  # fmt: skip
                assert sample[sub].dtype == np.float32
                expected = values[name][of_clip].repeat(times, axis=0)
                np.testing.assert_array_equal(sample[sub], expected)


def test_events_stand_under_the_names_of_the_clips(store: Path, tmp_path: Path, beam: Beam) -> None:
    out = tmp_path / "data"
    assert beam("export", store, "--to", "npy", "--out", out).returncode == 0
    found = set()
    for modality in ("audio", "visual"):
        events = pd.read_csv(out / f"AVVP_eval_{modality}.csv", sep="\t")
        assert list(events.columns) == ["filename", "onset", "offset", "event_labels"]
        found |= {(row[0][12:], modality, *row[1:]) for row in events.itertuples(index=False)}
    assert found == {
        (row["clip_key"], row["modality"], row["onset_s"], row["offset_s"], row["label"])
        for row in ParsingRows().events
    }


def llp_like(tmp_path: Path, change: Callable[[ParsingRows], object] = lambda rows: None) -> Path:
    """A store of two clips with LLP's names."""
    rows = ParsingRows()
    names = dict(zip(("train00_0_10", "train01_0_10"), KEYS, strict=True))
    rows.clips = [row for row in rows.clips if row["clip_key"] in names]
    rows.snippets = [row for row in rows.snippets if row["clip_key"] in names]
    rows.events = []
    for row in [*rows.clips, *rows.snippets]:
        row["clip_key"] = names[row["clip_key"]]
    change(rows)
    return rows.write(tmp_path / "llp", parts=1)


def test_names_of_llp_are_kept(tmp_path: Path, beam: Beam) -> None:
    out = tmp_path / "new" / "data"
    assert beam("export", llp_like(tmp_path), "--to", "npy", "--out", out).returncode == 0
    assert list(pd.read_csv(out / "AVVP_train.csv", sep="\t")["filename"]) == [*KEYS]
    assert sorted(path.stem for path in out.glob("feats/res152/*")) == sorted(
        key[:11] for key in KEYS
    )


def longer(rows: ParsingRows) -> None:
    rows.snippets.append({**rows.snippets[-1], "snippet_index": 10})


def split_named(rows: ParsingRows) -> None:
    rows.clips[0] |= {"split": ""}
    rows.clips[1] |= {"labels": []}


def test_other_splits_have_lists_too_and_clips_without_label_are_told(
    tmp_path: Path, beam: Beam
) -> None:
    out = tmp_path / "data"
    done = beam("export", llp_like(tmp_path, split_named), "--to", "npy", "--out", out)
    assert "Left out: 1 clips without a label" in done.stdout
    assert (out / "AVVP_all.csv").read_text().startswith(f"filename\tevent_labels\n{KEYS[0]}\t")


def test_what_the_layout_cannot_hold_is_refused(store: Path, tmp_path: Path, beam: Beam) -> None:
    place = tmp_path / "places"
    place.mkdir()

    def refused(of: Path, out: Path = place / "data") -> str:
        said = sentence(beam("export", of, "--to", "npy", "--out", out))
        assert [path.name for path in place.iterdir()] == []
        return said

    assert "lasts 11 seconds" in refused(llp_like(tmp_path / "long", longer))
    light = writer.RECIPE.with_(extractors=("vggish",))
    bare = ParsingRows().write(tmp_path / "bare", recipe=light)
    assert "no features resnet152, r2plus1d" in refused(bare)
    commas = ParsingRows().write(tmp_path / "commas", vocabulary=[*CLASSES, "Small, room"])
    assert "'Small, room'" in refused(commas)
    assert "is there already" in refused(store, store)


def test_damage_leaves_nothing(tmp_path: Path, beam: Beam) -> None:
    store = ParsingRows().write(tmp_path / "store")
    (*_, last) = sorted(store.glob("snippets/*"))
    last.write_bytes(last.read_bytes()[:-9])
    place = tmp_path / "place"
    place.mkdir()
    said = sentence(beam("export", store, "--to", "npy", "--out", place / "data"), 1)
    assert str(last) in said
    assert "beam validate" in said
    assert list(place.iterdir()) == []
