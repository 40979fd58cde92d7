"""Vocabularies: names to places and labels to multi-hot rows."""

import pyarrow as pa
import pytest

from schemas import Vocabulary

MANY = Vocabulary(tuple(f"class {number:02d}" for number in range(12)))


def test_places_are_those_of_the_names() -> None:
    assert len(MANY) == 12
    assert [MANY.index(name) for name in ("class 00", "class 11")] == [0, 11]


def test_sentences_list_ten_names_and_only_those_that_repeat() -> None:
    known = ", ".join(MANY.names[:10])
    with pytest.raises(LookupError) as unknown:
        MANY.index("x")
    assert str(unknown.value) == f"unknown label 'x'; the 12 classes are {known}, ..."
    with pytest.raises(ValueError) as repeats:
        Vocabulary(("c", "a", "b", "a", "c", "c"))
    assert str(repeats.value) == "class names repeat: a, c"
    with pytest.raises(ValueError) as many:
        Vocabulary(MANY.names * 2)
    assert str(many.value) == f"class names repeat: {known}, ..."


def test_labels_become_rows_and_none_is_no_label() -> None:
    names = Vocabulary(("a", "b", "c"))
    rows = [[1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0]]
    labels = [["c", "a"], None, ["b"], []]
    assert names.multi_hot(labels).tolist() == rows
    column = pa.array([["x"], *labels], pa.list_(pa.string()))
    assert names.multi_hot(column.slice(1)).tolist() == rows
    assert names.multi_hot([]).shape == (0, 3)


def test_label_that_is_no_class_is_named_in_every_form() -> None:
    for labels in ([["a"], ["b", "d"]], pa.array([["a"], ["b", "d"]])):
        with pytest.raises(LookupError, match="unknown label 'd'; the 2 classes are a, b"):
            Vocabulary(("a", "b")).multi_hot(labels)
