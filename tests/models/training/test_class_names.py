"""Classes with any name: a training ends with tables, results and figures."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from models import evaluate, train
from tests.models.commands import run_command
from tests.stores import tagging
from tests.stores.parsing import CLASSES, ParsingRows

NAMES = ("$\\frac$", "[/red]\x1b[31m$", "a\x00b\nc_^{", "x" * 5000)
"""One for each class of the store: formulas, markup, control characters, endless."""


@pytest.fixture
def parsing_store(tmp_path: Path) -> Path:
    rows = ParsingRows()
    renamed = dict(zip(CLASSES, NAMES, strict=True))
    for clip in rows.clips:
        clip["labels"] = [renamed[name] for name in clip["labels"]]
    for event in rows.events:
        event["label"] = renamed[event["label"]]
    return rows.write(tmp_path / "store", vocabulary=list(NAMES))


def test_parsing_ends_with_figures_whatever_the_classes_are_called(
    parsing_store: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    given = ("han", "--features", parsing_store, "--run", run, "--epochs", 1, "--hidden", 8)
    assert run_command(train.main, *given, "--feedforward", 8).returncode == 0
    assert run_command(evaluate.main, "--run", run).returncode == 0
    results = json.loads((run / "results.json").read_text())
    assert list(results["classes"]["test"]["segment_audio"]) == list(NAMES)
    for name in ("timelines.png", "confusion.png", "curves.png"):
        assert (run / name).stat().st_size > 1000


def test_tagging_ends_with_figures_whatever_the_classes_are_called(tmp_path: Path) -> None:
    names = (*NAMES, "plain", "Ω 犬 🐕")
    store = tagging.write_tagging_store(
        tmp_path / "store", features=("r2plus1d",), train=24, val=8, test=8, classes=names
    )
    run = tmp_path / "run"
    given = ("r2plus1d_101-probe", "--features", store, "--run", run, "--epochs", 1)
    assert run_command(train.main, *given).returncode == 0
    predictions = pq.read_table(run / "predictions.parquet")
    assert json.loads(predictions.schema.metadata[b"classes"]) == list(names)
    assert (run / "classes.png").stat().st_size > 1000


def test_results_stand_before_figures_are_drawn(
    parsing_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.tasks import figures

    def fail(*given: object) -> None:
        raise RuntimeError("no picture today")

    monkeypatch.setattr(figures, "timelines", fail)
    run = tmp_path / "run"
    given = ("han", "--features", parsing_store, "--run", run, "--epochs", 1, "--hidden", 8)
    with pytest.raises(RuntimeError, match="no picture today"):
        run_command(train.main, *given, "--feedforward", 8)
    for name in ("results.json", "predictions.parquet", "checkpoint.safetensors"):
        assert (run / name).is_file()
