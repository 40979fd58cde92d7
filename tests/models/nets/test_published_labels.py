"""A published list of changed labels is read as numbers; nothing else in a pickle is."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.data.clips import open_clips
from models.nets.parsing import wu_yang
from models.nets.published_labels import read_changes
from models.training.state import begin
from schemas import UsageError

Make = Callable[[Any], Any]


@pytest.fixture
def training_list(tmp_path: Path) -> Path:
    """The first two training clips of the small store, with a stranger between them."""
    path = tmp_path / "AVVP_train.csv"
    keys = ("train00_0_10", "stranger_0_10", "train01_0_10")
    path.write_text("filename\tevent_labels\n" + "".join(f"{key}\tDog\n" for key in keys))
    return path


def written(path: Path, content: Any) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.mark.parametrize(
    "number", [int, np.int64, lambda place: torch.tensor([7, place])[1]], ids=["int", "np", "torch"]
)
def test_places_count_the_training_list(
    small_store: Path, training_list: Path, tmp_path: Path, number: Make
) -> None:
    visual = [[number(0)], [], [number(1), number(2)], []]
    audio = [[], [number(2)], [], []]
    path = written(tmp_path / "changes.pkl", [visual, audio])
    clips = open_clips(small_store, ("vggish",))
    heard, seen = read_changes(path, training_list, clips)
    assert seen.nonzero().tolist() == [[0, 0], [1, 2]]
    assert heard.nonzero().tolist() == [[1, 1]]


def test_training_takes_the_list_in_place_of_two_stages(
    small_store: Path, training_list: Path, tmp_path: Path
) -> None:
    path = written(tmp_path / "changes.pkl", [[[0], [], [], []], [[], [2], [], []]])
    config = wu_yang.Config(
        hidden=8, feedforward=8, classes=4, changes=str(path), training_list=str(training_list)
    )
    clips = open_clips(small_store, wu_yang.CARD.needs)
    training = begin(wu_yang.Model(config), wu_yang.Loss(config), clips, config, wu_yang.CARD.task)
    wu_yang.prepare(training)
    assert training.data.dropped is not None
    assert training.data.dropped["visual"].nonzero().tolist() == [[0, 0]]
    assert training.data.dropped["audio"].nonzero().tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="changes and training_list go together"):
        wu_yang.Config(changes=str(path))


class Command:
    """Runs a command when it is unpickled by a reader that trusts it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_nothing_in_the_file_is_run(small_store: Path, training_list: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "changes.pkl", [[[Command(tmp_path / "run")]], []])
    with pytest.raises(UsageError, match=r"is no list of changed labels \(it names posix.mkdir\)"):
        read_changes(path, training_list, open_clips(small_store, ("vggish",)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([[[], []], [[], []]], "is for 2 classes, and the clips have 4"),
        (
            [[[3], [], [], []], [[], [], [], []]],
            "names training clip 3, and the training",
        ),
        ([[[], [], [], []]], "holds no two lists, of video and of audio"),
        ({"visual": 1}, "holds no two lists"),
        (b"", "holds no two lists"),
    ],
)
def test_lists_that_do_not_fit_are_one_sentence(
    small_store: Path, training_list: Path, tmp_path: Path, content: Any, sentence: str
) -> None:
    path = written(tmp_path / "changes.pkl", content)
    with pytest.raises(UsageError, match=sentence) as refused:
        read_changes(path, training_list, open_clips(small_store, ("vggish",)))
    assert "\n" not in str(refused.value)


def test_damaged_and_missing_files_are_one_sentence(
    small_store: Path, training_list: Path, tmp_path: Path
) -> None:
    clips = open_clips(small_store, ("vggish",))
    (tmp_path / "damaged.pkl").write_bytes(b"\x80\x04\x95")
    for name in ("damaged.pkl", "none.pkl"):
        with pytest.raises(UsageError, match="is no list of changed labels"):
            read_changes(tmp_path / name, training_list, clips)
    good = written(tmp_path / "good.pkl", [[[], [], [], []], [[], [], [], []]])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="has no clips below a line that begins with filename"):
        read_changes(good, tmp_path / "other.csv", clips)
