"""`beam run labels`: the seconds that a caption describes get its label."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extractors.base import LoadOptions
from extractors.nets.contrastive import text_vectors
from models.data.pseudo_labels import read_pseudo_labels
from models.data.source import read_clip_table
from pipelines.commands.labels.captions import COLUMNS, captions_of, read_captions
from pipelines.commands.labels.scoring import TEACHERS, class_scores
from schemas import UsageError, read_store_manifest
from schemas.manifests import vocabulary
from tests.pipelines.conftest import Beam
from tests.stores import writer

CLASSES = ("Dog", "Car", "Bell")
RECIPE = writer.RECIPE.with_(extractors=("clip", "clap"))
SECONDS = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips whose seconds lie where the captions lie: the first label's, then the second's."""
    options, captions = LoadOptions(weights="seeded:0"), captions_of(CLASSES, pretrained=False)
    spaces = {
        feature: text_vectors(feature, [one.text for one in captions[modality]], options).vectors
        for modality, feature in TEACHERS.items()
    }
    clips, snippets = [], []
    for number in range(6):
        key, own = f"clip{number}", (number % 3, (number + 1) % 3)
        labels = [CLASSES[place] for place in own]
        clips.append(writer.clip_row(key, SECONDS, "train", labels))
        for second in range(SECONDS):
            row: dict[str, Any] = {
                "clip_key": key, "snippet_index": second, "start_s": float(second), "valid": True
            }  # fmt: skip
            for feature, vectors in spaces.items():
                silent = number == 5 and second == 3 and feature == "clap"
                row[feature] = None if silent else vectors[own[second >= 2]]
            snippets.append(row)
    root = tmp_path_factory.mktemp("store")
    rows = {"clips": clips, "snippets": snippets}
    parts = [{name: writer.to_table(name, lines, RECIPE) for name, lines in rows.items()}]
    return writer.write_store(root, parts, vocabulary=CLASSES, recipe=RECIPE)


def test_seconds_get_the_label_that_describes_them(beam: Beam, store: Path, tmp_path: Path) -> None:
    captions = captions_of(CLASSES, pretrained=False)
    both = zip(CLASSES, captions["visual"], captions["audio"], strict=True)
    lines = [(name, seen.text, "50", heard.text, "50") for name, seen, heard in both]
    file = write_captions(tmp_path / "captions.csv", *lines)  # a cosine of one half
    done = beam("run", "labels", "--out", store, "--captions", file)
    assert done.returncode == 0, done.stderr
    assert "The nets have random weights (seeded:0): the labels say nothing." in done.stdout
    table = read_clip_table(store)
    scores = read_pseudo_labels(table)
    for number in range(6):
        own = (number % 3, (number + 1) % 3)
        for modality in ("audio", "visual"):
            found = (scores[modality][number] > 0.5).numpy()
            wanted = np.zeros((SECONDS, 3), bool)
            wanted[:2, own[0]] = wanted[2:, own[1]] = True
            if number == 5 and modality == "audio":
                wanted[3] = False  # there is no sound in that second
            np.testing.assert_array_equal(found, wanted)
    made = read_store_manifest(store).data["pseudo_labels"]
    assert made["weights"] == "seeded:0"
    assert made["files"] == {"clip": "seeded:0", "clap": "seeded:0"}
    assert beam("validate", store).returncode == 0


def test_store_without_embeddings_says_how_to_make_them(beam: Beam, tmp_path: Path) -> None:
    clips = [writer.clip_row("a", 1, "train", ["Dog"])]
    parts = [{"clips": writer.to_table("clips", clips)}]
    writer.write_store(tmp_path / "store", parts, vocabulary=CLASSES)
    done = beam("run", "labels", "--out", tmp_path / "store")
    assert done.returncode == 2
    assert "has no feature clap and no clip; make a store with them, --extractors" in done.stderr
    done = beam("run", "labels", "--out", tmp_path)
    assert done.returncode == 2
    assert "holds no finished feature store" in done.stderr


def test_scores_are_sigmoids_over_the_threshold() -> None:
    from pipelines.commands.labels.captions import Caption
    from pipelines.commands.labels.clips import LabelledClip

    clips = [LabelledClip(key=key, seconds=2, labels=labels, split="train")
             for key, labels in (("a", ("Dog",)), ("b", ("Car",)))]  # fmt: skip
    logits = {
        "a": np.array([[3.0, 9.0], [-2.0, 9.0]], np.float32),
        "b": np.array([[5.0, 1.0], [7.0, -np.inf]], np.float32),
    }
    captions = [Caption(text="dog", threshold=1.0), Caption(text="car")]
    scores = class_scores(clips, logits, captions, ("Dog", "Car"))
    sigmoid = 1 / (1 + np.exp(-np.array([2.0, -3.0])))
    np.testing.assert_allclose(scores["a"], np.stack([sigmoid, [0, 0]], axis=1), rtol=1e-6)
    measured = 1 / (1 + np.exp(9.0 - 1.0))  # other clips' logits are 9 and 9: no spread
    np.testing.assert_allclose(scores["b"], [[0, measured], [0, 0]], rtol=1e-5)


def test_llp_has_captions_of_its_own_and_others_a_template() -> None:
    names = vocabulary("llp", Path()).names
    captions = captions_of(names, pretrained=True)
    assert captions["visual"][0].text == "A photo of people talking."
    assert captions["visual"][0].threshold == 20
    assert captions["audio"][-1].text == "This is a sound of clapping"
    measured = captions_of(names, pretrained=False)
    assert all(one.threshold is None for one in measured["audio"] + measured["visual"])
    (other,) = captions_of(["Bell_tower"], pretrained=True)["visual"]
    assert (other.text, other.threshold) == ("A photo of a bell tower.", None)


def write_captions(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


GOOD = [(name, f"a {name}", "", f"sound of {name}", "2.5") for name in CLASSES]


def test_captions_are_read_from_a_file(tmp_path: Path) -> None:
    captions = read_captions(write_captions(tmp_path / "good.csv", *reversed(GOOD)), CLASSES)
    assert [one.text for one in captions["visual"]] == ["a Dog", "a Car", "a Bell"]
    assert captions["audio"][0].threshold == 2.5
    assert captions["visual"][0].threshold is None


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (GOOD[:2], "lacks Bell, and the classes of the store are Dog, Car, Bell"),
        ([*GOOD, ("Zebra", "a", "", "b", "")], "has 'Zebra', and the classes"),
        ([*GOOD[:2], ("Bell", "", "", "b", "")], "has a visual_caption of 0 characters for Bell"),
        ([*GOOD[:2], ("Bell", "a", "nan", "b", "")], "has the visual_threshold 'nan' for Bell"),
        ([], "has not the columns label, visual_caption"),
    ],
)
def test_captions_that_do_not_fit_are_one_sentence(
    tmp_path: Path, rows: list[tuple[str, ...]], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence) as refused:
        read_captions(write_captions(tmp_path / "bad.csv", *rows), CLASSES)
    assert "\n" not in str(refused.value)
