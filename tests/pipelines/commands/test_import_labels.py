"""Published per-second labels come into a store whole, stay there, or change nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.data.pseudo_labels import read_pseudo_labels
from models.data.source import read_clip_table
from schemas import read_store_manifest
from tests.models.data.test_pseudo_labels import labels_of
from tests.pipelines.commands.test_import_npy import KEYS, annotations, published, words
from tests.pipelines.conftest import Beam
from tests.stores.compare import read_table
from tests.stores.parsing import CLASSES, SECONDS, ParsingRows

__all__ = ["annotations", "published"]  # fixtures


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without pseudo labels."""
    return ParsingRows().write(tmp_path_factory.mktemp("store"))


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    """A store of one's own."""
    return Path(shutil.copytree(finished, tmp_path / "store"))


@pytest.fixture
def labels(tmp_path: Path) -> dict[str, Path]:
    """Hard labels of all clips but the last and of one more, as integers."""
    dice = np.random.default_rng(1)
    keys = [clip["clip_key"] for clip in ParsingRows().clips][:-1]
    folders = {}
    for modality in ("audio", "visual"):
        folders[modality] = tmp_path / modality
        folders[modality].mkdir()
        for key in [*keys, "stranger"]:
            made = (dice.random((SECONDS, len(CLASSES))) < 0.3).astype(np.int64)
            np.save(folders[modality] / f"{key}.npy", made)
    return folders


def importing(store: Path, labels: dict[str, Path]) -> list[object]:
    return [
        "import-labels", "--audio", labels["audio"], "--visual", labels["visual"], "--out", store
    ]  # fmt: skip


def test_labels_are_those_of_the_files(beam: Beam, store: Path, labels: dict[str, Path]) -> None:
    done = beam(*importing(store, labels))
    assert done.returncode == 0, done.stderr
    assert "pseudo labels of 65 of 66 clips, audio, visual; 1 names are of no clip" in done.stdout
    table = read_clip_table(store)
    scores = read_pseudo_labels(table)
    for modality, folder in labels.items():
        for number, key in enumerate(table.keys[:-1]):
            np.testing.assert_array_equal(
                scores[modality][number], np.load(folder / f"{key}.npy").astype(np.float32)
            )
        assert not scores[modality][-1].any()
    made = read_store_manifest(store).data["pseudo_labels"]
    assert made == {"source": "audio and visual", "weights": "imported"}
    assert beam("validate", store).returncode == 0
    assert beam(*importing(store, labels)).returncode == 0
    assert len(list((store / "pseudo_labels").iterdir())) == 1


def test_labels_stay_when_the_store_grows(
    beam: Beam, annotations: Path, published: dict[str, Path], tmp_path: Path
) -> None:
    out, late = tmp_path / "out", KEYS[1][:11]
    for folder in published.values():
        (folder / f"{late}.npy").rename(folder / "later.npy")
    assert beam(*words(annotations, published, out)).returncode == 0
    heard = tmp_path / "heard"
    heard.mkdir()
    np.save(heard / f"{KEYS[0][:11]}.npy", np.eye(10, 25, dtype=np.float32))
    given = ("--audio", heard, "--out", out, "--source", "CLAP")
    assert beam("import-labels", *given).returncode == 0
    before = read_table(out, "pseudo_labels")
    for folder in published.values():
        (folder / "later.npy").rename(folder / f"{late}.npy")
    assert beam(*words(annotations, published, out)).returncode == 0
    assert read_store_manifest(out).data["counts"]["clips_done"] == 3
    assert read_table(out, "pseudo_labels").equals(before)
    assert read_store_manifest(out).data["pseudo_labels"]["source"] == "CLAP"
    assert before.num_rows == 10 + 2 * 10 - 2  # the diagonal; Speech, Dog in every second
    assert beam("validate", out).returncode == 0


def of_more_classes(folder: Path) -> None:
    np.save(folder / "train05_0_10.npy", np.zeros((SECONDS, 7)))


def not_a_number(folder: Path) -> None:
    np.save(folder / "train05_0_10.npy", np.full((SECONDS, len(CLASSES)), np.nan))


def too_large(folder: Path) -> None:
    np.save(folder / "train05_0_10.npy", np.full((SECONDS, len(CLASSES)), 2.0))


def too_short(folder: Path) -> None:
    np.save(folder / "train05_0_10.npy", np.zeros((3, len(CLASSES))))


def of_other_clips(folder: Path) -> None:
    for path in folder.glob("t*.npy"):
        path.unlink()
    for path in folder.glob("v*.npy"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (of_more_classes, "audio/train05_0_10.npy is [10, 7], should be [any, 4]; the 4 classes"),
        (not_a_number, "train05_0_10.npy holds numbers that float32 cannot hold"),
        (too_large, "train05_0_10.npy holds 2, and labels are numbers from 0 to 1"),
        (too_short, "train05_0_10.npy has 3 seconds, clip 'train05_0_10' has 10"),
        (of_other_clips, "(stranger) is of a clip of"),
        (shutil.rmtree, "is not a folder; give the folder of .npy files"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    beam: Beam, store: Path, labels: dict[str, Path], spoil: Callable[[Path], object],
    sentence: str,
) -> None:  # fmt: skip
    before = (store / "manifest.json").read_bytes()
    spoil(labels["audio"])
    done = beam(*importing(store, labels))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert (store / "manifest.json").read_bytes() == before
    assert not (store / "pseudo_labels").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"snippet_index": 12}, "pseudo_labels has second 12 of train00_0_10, which has 10"),
        ({"label": "Zebra"}, "has the label 'Zebra', and the classes of the store are Dog"),
        ({"score": float("nan")}, "has the score nan for"),
        ({"clip_key": "stranger"}, "pseudo_labels has rows of stranger"),
    ],
)
def test_validate_names_labels_that_fit_no_clip_class_or_number(
    beam: Beam, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    rows = ParsingRows()
    labels = labels_of(rows)
    labels[0].update(change)
    store = rows.write(tmp_path / "store", more={"pseudo_labels": labels})
    done = beam("validate", store)
    assert done.returncode == 1
    assert sentence in done.stdout
