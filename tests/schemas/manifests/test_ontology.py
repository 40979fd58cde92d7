"""AudioSet's own files about its classes, in the form in which they are published."""

from pathlib import Path

import numpy as np
import pytest

from schemas import UsageError
from schemas.manifests import vocabulary
from schemas.manifests.ontology import Ontology, read_label_quality, read_ontology
from tests.stores.sound_classes import write_class_files

CLASSES = ("Animal", "Bird", "Dog", "Music")
CHILDREN = {
    "Sound": ("Animal", "Domestic"), "Animal": ("Bird", "Dog"), "Domestic": ("Dog",),
    "Bird": (), "Dog": (), "Music": (),
}  # fmt: skip
RATED = {"Animal": "10,9", "Bird": "10,5", "Dog": "0,0"}


def write(folder: Path, **counts: str) -> Path:
    return write_class_files(folder, CHILDREN, CLASSES, {**RATED, **counts})


def test_ways_between_classes(tmp_path: Path) -> None:
    ontology = read_ontology(write(tmp_path) / "ontology.json", CLASSES)
    assert ontology.ancestors(CLASSES).tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [True, False, True, False],
        [False, False, False, True],
    ]
    assert ontology.distances(CLASSES).tolist() == [
        [0, 1, 1, 3],
        [1, 0, 2, 3],
        [1, 2, 0, 3],
        [3, 3, 3, 0],
    ]
    assert ontology.depths(CLASSES).tolist() == [2, 3, 3, 1]


def test_quality_is_the_share_that_holds_and_unknown_where_none_was_rated(tmp_path: Path) -> None:
    quality = read_label_quality(write(tmp_path) / "qa_true_counts.csv", CLASSES)
    np.testing.assert_array_equal(quality, [0.9, 0.5, np.nan, np.nan])


def test_audiosets_own_ontology_holds_its_classes(shared: Path) -> None:
    folder = shared / "annotations" / "audioset"
    names = vocabulary("audioset", folder).names
    ontology = read_ontology(folder / "ontology.json", names)
    ways, depths = ontology.distances(names), ontology.depths(names)
    assert ways.max() == 21
    speech, animal, male = (
        names.index(name) for name in ("Speech", "Animal", "Male speech, man speaking")
    )
    assert (ways[speech, male], ways[speech, animal]) == (1, 9)
    assert ontology.ancestors(names)[male].nonzero()[0].tolist() == [speech, male]
    assert depths[[animal, speech, male]].tolist() == [1, 3, 4]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        ("[", "is not readable JSON"),
        ('{"id": 1}', "is no ontology of sound classes"),
        ('[{"id": "/m/1", "name": "Dog"}]', "(no 'child_ids')"),
        ('[{"id": "/m/1", "name": "Dog", "child_ids": ["/m/2"]}]', "(no '/m/2')"),
        ('[{"id": "/m/1", "name": "Dog", "child_ids": []}]', "lacks 3 of the 4 classes (Animal"),
    ],
)
def test_other_files_are_no_ontology(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "ontology.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError) as caught:
        read_ontology(path, CLASSES)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "count", "says"),
    [
        ("Bird", "10", "after the mid stand two counts"),
        ("Bird", "10,x", "after the mid stand two counts"),
        ("Bird", "3,4", "4 of 3 cannot hold"),
        ("Sound", "3,1", "unknown label '/m/Sound'"),
    ],
)
def test_other_counts_are_refused(tmp_path: Path, name: str, count: str, says: str) -> None:
    path = write(tmp_path, **{name: count}) / "qa_true_counts.csv"
    with pytest.raises(UsageError) as caught:
        read_label_quality(path, CLASSES)
    assert says in str(caught.value)


def test_counts_of_other_classes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path) / "qa_true_counts.csv"
    with pytest.raises(UsageError, match="rates none of the store's classes"):
        read_label_quality(path, ("Piano",))


def test_a_circle_of_classes_ends() -> None:
    ontology = Ontology({"a": ("b",), "b": ("a",)})
    assert ontology.distances(("a", "b")).tolist() == [[0, 1], [1, 0]]
