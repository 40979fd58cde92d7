"""Sweeps from the command, on a small store."""

import csv
import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from models import train
from models.data.clips import ClipData
from models.sweep.study import FILE
from models.training import loop, session
from tests.models.commands import refused, run_command
from tests.places import ROOT

SMALL = ("--hidden", 16, "--feedforward", 16, "--epochs", 2)
RANGE = ("--sweep", "learning-rate=1e-4..1e-1", "--trials", 3)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def without_seconds(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**row, "seconds": ""} for row in rows]


@pytest.fixture(scope="module")
def swept(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("sweep") / "han"
    given = ("han", "--features", small_store, "--run", folder, *SMALL, *RANGE)
    done = run_command(train.main, *given)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_best_setting_is_trained_and_its_command_printed(swept: tuple[Path, str]) -> None:
    folder, said = swept
    rows = table(folder)
    assert [row["trial"] for row in rows] == ["1", "2", "3"]
    assert all(1e-4 <= float(row["learning_rate"]) <= 1e-1 for row in rows)
    best = max(rows, key=lambda row: float(row["val_segment_type_av"]))
    settings = json.loads((folder / "best" / "config.json").read_text())["settings"]
    assert settings["learning_rate"] == float(best["learning_rate"])
    history = json.loads((folder / "best" / "results.json").read_text())["history"]
    kept = max(line["val_segment_type_av"] for line in history)
    assert kept == float(best["val_segment_type_av"])
    line = next(line for line in said.splitlines() if "best settings: " in line)
    words = shlex.split(line.partition("best settings: ")[2])
    assert Path(shutil.which(words[0]) or "").absolute().parent == Path(sys.executable).parent
    assert Path(words[1]).resolve() == ROOT / "models" / "train.py"
    assert words[2] == "han"
    _, _, options, config = train.read_arguments(words[2:])
    assert options.features is not None
    assert config.to_json() == settings | {"classes": config.classes}
    assert (folder / "sweep.png").stat().st_size > 5000


def test_a_sweep_never_asks_for_test_clips(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    rows = ClipData.rows

    def spy(clips: ClipData, split: str) -> Any:
        asked.append(split)
        assert not clips.has("test")
        assert "test" not in clips.dense_splits
        return rows(clips, split)

    def stop(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "open_store", _once(train.open_store, monkeypatch, spy))
    monkeypatch.setattr(train, "train_planned", stop)
    given = ("han", "--features", small_store, "--run", tmp_path, *SMALL, *RANGE)
    assert run_command(train.main, *given).returncode == 130
    assert set(asked) == {"train", "val"}
    assert len(table(tmp_path)) == 3


def _once(opened: Any, monkeypatch: pytest.MonkeyPatch, spy: Any) -> Any:
    """Open the store as ever, and look at what is asked of its clips from then on."""

    def open_store(*given: Any) -> Any:
        data = opened(*given)
        monkeypatch.setattr(ClipData, "rows", spy)
        return data

    return open_store


def test_a_sweep_that_was_stopped_goes_on_as_one_that_was_not(
    swept: tuple[Path, str], small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = 0
    fit = session.fit

    def stops_in_the_second(*given: Any) -> Any:
        nonlocal begun
        begun += 1
        if begun == 2:
            raise KeyboardInterrupt
        return fit(*given)

    given = ("han", "--features", small_store, "--run", tmp_path, *SMALL, *RANGE)
    with monkeypatch.context() as patched:
        patched.setattr("models.sweep.trials.fit", stops_in_the_second)
        assert run_command(train.main, *given).returncode == 130
    assert "--resume, take another --run" in refused(train.main, *given)
    done = run_command(train.main, *given, "--resume")
    assert done.returncode == 0, done.stderr
    assert without_seconds(table(tmp_path)) == without_seconds(table(swept[0]))


def test_another_sweep_is_not_gone_on_with(swept: tuple[Path, str], small_store: Path) -> None:
    folder, _ = swept
    given = ("han", "--features", small_store, "--run", folder, *SMALL, "--resume", "--sweep")
    assert "holds a sweep with another searched" in refused(
        train.main, *given, "learning-rate=1e-4..1e-2"
    )


def test_lists_are_tried_whole_and_divergence_is_one_trial(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = session.fit

    def diverges_above(one: session.Session, data: Any) -> Any:
        if one.config.learning_rate > 0.1:
            raise loop.DivergenceError("no longer finite")
        return fit(one, data)

    monkeypatch.setattr("models.sweep.trials.fit", diverges_above)
    words = ("--sweep", "learning-rate=0.01,0.5", "batch-size=16,64")
    given = ("han", "--features", small_store, "--run", tmp_path, *SMALL, *words)
    assert run_command(train.main, *given).returncode == 0
    rows = table(tmp_path)
    found = {(row["learning_rate"], row["batch_size"]): row["val_segment_type_av"] for row in rows}
    assert set(found) == {(rate, size) for rate in ("0.01", "0.5") for size in ("16", "64")}
    assert {score for (rate, _), score in found.items() if rate == "0.5"} == {"diverged"}


def test_damaged_trials_and_folds_are_refused_in_a_sentence(
    small_store: Path, tmp_path: Path
) -> None:
    (tmp_path / FILE).write_text("no database")
    given = ("han", "--features", small_store, "--run", tmp_path, *SMALL, *RANGE)
    assert "does not open as the trials of a sweep" in refused(train.main, *given, "--resume")
    assert "sweep goes without folds" in refused(train.main, *given, "--folds", 3)


def test_a_fusion_is_swept_over_runs_that_are_given(small_store: Path, tmp_path: Path) -> None:
    given = ("fusion-mlp", "--features", small_store, "--run", tmp_path / "run", *RANGE)
    assert "give --audio-run" in refused(train.main, *given)
