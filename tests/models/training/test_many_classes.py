"""As many classes as AudioSet has, from a streamed store to a run and its scores."""

import json
from pathlib import Path

import pytest

from models import train
from models.training import tables
from models.training.results import RunResults
from tests.models.commands import run_command
from tests.stores.tagging import write_tagging_store

CLASSES = tuple(f"Class {number}" for number in range(527))
CLIPS = {"train": 600, "val": 60, "test": 250}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("many")
    store = write_tagging_store(
        root / "store", train=CLIPS["train"], val=CLIPS["val"], test=CLIPS["test"],
        seconds=1, parts=4, features=("r2plus1d",), noise=0.1,
        classes=CLASSES,
    )  # fmt: skip
    given = ("r2plus1d_101-probe", "--features", store, "--run", root / "run", "--stream", "yes")
    done = run_command(
        train.main, *given, "--epochs", 2,
        "--threshold", "fixed",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return root / "run", done.stdout


def test_527_classes_go_through_and_those_that_count_are_counted(run: tuple[Path, str]) -> None:
    folder, said = run
    found = json.loads((folder / "results.json").read_text())
    support = found["classes"]["test"]["support"]
    counted = sum(0 < clips < CLIPS["test"] for clips in support.values())
    assert found["ranked"]["test"] == {"classes": 527, "counted": counted}
    assert 0 < counted < 527
    lines = [line for line in said.splitlines() if line.startswith("Scores on split 'test'")]
    assert [line.endswith(f", means over {counted} of 527 classes") for line in lines] == [True]
    ranked = [ap for ap, auc in zip(
        found["classes"]["test"]["ap"].values(), found["classes"]["test"]["auc"].values(),
        strict=True,
    ) if auc is not None]  # fmt: skip
    assert found["metrics"]["test"]["map"] == pytest.approx(sum(ranked) / counted)
    assert found["history"][-1]["total"] < found["history"][0]["total"]


def test_run_of_an_older_version_counts_nothing(run: tuple[Path, str]) -> None:
    report = RunResults.read(run[0] / "results.json").reports["test"]
    assert report.ranked is not None
    whole = report.from_json({"metrics": report.metrics})
    assert "classes" not in tables.score_title("test", whole)
