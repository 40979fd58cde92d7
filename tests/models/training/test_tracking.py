"""A training writes its history as it goes, and tells its epochs to trackers."""

import csv
import json
import logging
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from models import train
from models.training import tracking
from models.training.tracking import TrackedRun
from schemas import JobError
from tests.models.commands import refused, run_command

SMALL = ("--hidden", "8", "--feedforward", "8", "--epochs", "3")


def trained(store: Path, run: Path, *options: object) -> dict[str, Any]:
    done = run_command(train.main, "han", "--features", store, "--run", run, *SMALL, *options)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads((run / "results.json").read_text())
    return results


def events(run: Path) -> Iterator[Any]:
    """Yield what stands in the event files of a run, the oldest file first."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(run.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack_from("<Q", content, at)
            yield Event.FromString(content[at + 12 : at + 12 + size])
            at += size + 16


def scalars(run: Path) -> dict[tuple[int, str], float]:
    """Return numbers by step and name; a later start ends what an earlier one had from there on."""
    from tensorboardX.proto.event_pb2 import SessionLog

    held: dict[tuple[int, str], float] = {}
    for event in events(run):
        if event.session_log.status == SessionLog.START:
            held = {place: value for place, value in held.items() if place[0] < event.step}
        for value in event.summary.value:
            if value.HasField("simple_value"):
                held[event.step, value.tag] = value.simple_value
    return held


def test_history_has_a_row_per_epoch_and_the_numbers_of_the_results(
    small_store: Path, tmp_path: Path
) -> None:
    results = trained(small_store, tmp_path / "run")
    with (tmp_path / "run/history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: float(cell) for name, cell in row.items()} for row in rows] == results["history"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]


def test_history_is_there_before_the_training_ends(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    class Watch:
        def __init__(self, run: TrackedRun) -> None:
            self.path = run.folder / "history.csv"

        def epoch(self, line: Mapping[str, float]) -> None:
            seen.append(len(self.path.read_text().splitlines()) - 1)

        def finish(self, scores: Mapping[str, float]) -> None:
            seen.append(scores["test/segment_type_av"])

    monkeypatch.setattr(tracking, "load", lambda name: Watch)
    results = trained(small_store, tmp_path / "run", "--track", "mine")
    assert seen == [1, 2, 3, results["metrics"]["test"]["segment_type_av"]]


def test_columns_that_only_some_epochs_have_stay_empty_in_the_others(tmp_path: Path) -> None:
    from models.training.history import write_history

    write_history(tmp_path / "h.csv", [{"epoch": 1, "total": 0.1}, {"epoch": 2, "val_map": 1 / 3}])
    assert (tmp_path / "h.csv").read_text().splitlines() == [
        "epoch,total,val_map", "1,0.1,", f"2,,{1 / 3!r}"
    ]  # fmt: skip


def test_a_new_training_in_a_folder_forgets_history_and_event_files(
    small_store: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    trained(small_store, run, "--tensorboard")
    old = set(run.glob("events.out.tfevents.*"))
    trained(small_store, run, "--overwrite", "--epochs", "1")
    assert len((run / "history.csv").read_text().splitlines()) == 2
    assert len(old) == 1
    assert not any(path.exists() for path in old)


def test_event_files_hold_every_number_of_the_history(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    results = trained(small_store, run, "--tensorboard")
    held = scalars(run)
    for line in results["history"]:
        assert held[line["epoch"], "loss/total"] == pytest.approx(line["total"])
        name = "val/segment_type_av"
        assert held[line["epoch"], name] == pytest.approx(line["val_segment_type_av"])
    score = results["metrics"]["test"]["event_event_av"]
    assert held[0, "test/event_event_av"] == pytest.approx(score)


def test_without_its_package_tensorboard_is_refused_in_one_sentence(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    given = ("han", "--features", small_store, "--run", tmp_path / "run", "--tensorboard")
    said = refused(train.main, *given)
    assert "tensorboardX, which is not installed; pip install tensorboardX" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tensorbord", "unknown tracker 'tensorbord'; did you mean 'tensorboard'?"),
        ("no_such_module:run", "tracker no_such_module:run cannot be imported"),
        ("json:no_such", "module json has no 'no_such'"),
        (":", "unknown tracker ':'"),
    ],
)
def test_trackers_that_are_none_are_refused(
    small_store: Path, tmp_path: Path, name: str, sentence: str
) -> None:
    given = ("han", "--features", small_store, "--run", tmp_path / "run", "--track", name)
    assert sentence in refused(train.main, *given)


class Broken:
    """A tracker that fails in the second epoch."""

    told: list[float]

    def __init__(self, run: TrackedRun) -> None:
        Broken.told = []

    def epoch(self, line: Mapping[str, float]) -> None:
        Broken.told.append(line["epoch"])
        if line["epoch"] == 2:
            raise ConnectionError("no route\nto host")

    def finish(self, scores: Mapping[str, float]) -> None:
        raise AssertionError("a tracker that failed is told no more")


def test_a_tracker_that_fails_costs_no_training(
    small_store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"{__name__}:Broken"
    with caplog.at_level(logging.WARNING):
        results = trained(small_store, tmp_path / "run", "--track", name)
    assert Broken.told == [1, 2]
    assert len(results["history"]) == 3
    (said,) = [message for message in caplog.messages if "tracker" in message]
    assert said == f"tracker {name} is left out from here on (ConnectionError: no route to host)"


def test_a_tracker_that_cannot_be_opened_ends_the_training_before_it_begins(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: TrackedRun) -> None:
        raise PermissionError("no account")

    monkeypatch.setattr(tracking, "load", lambda name: refuse)
    run = TrackedRun(folder=tmp_path, experiment="han", model="han", settings={})
    with pytest.raises(JobError, match=r"tracker x cannot be opened \(PermissionError: no account"):
        tracking.Trackers.open(["x"], run)


def test_a_resumed_training_takes_event_files_back_to_where_it_goes_on(tmp_path: Path) -> None:
    from models.training.trackers import TensorBoard

    common: dict[str, Any] = {"experiment": "han", "model": "han", "settings": {"hidden": 8}}
    first = TensorBoard(TrackedRun(folder=tmp_path, **common))
    for epoch in (1, 2, 3):
        first.epoch({"epoch": epoch, "rate": 0.1, "total": float(epoch)})
    first.writer.close()
    (old,) = tmp_path.glob("events.out.tfevents.*")
    old.rename(tmp_path / "events.out.tfevents.0")
    again = TensorBoard(TrackedRun(folder=tmp_path, epochs_done=2, **common))
    again.epoch({"epoch": 3, "rate": 0.1, "total": 30.0})
    again.finish({"test/map": 0.5})
    losses = {step: value for (step, name), value in scalars(tmp_path).items() if "loss" in name}
    assert losses == {1: 1.0, 2: 2.0, 3: 30.0}


def package(name: str) -> Any:
    return pytest.importorskip(name, reason=f"package {name} is not installed")


def test_weights_and_biases_hears_of_a_training_without_a_network(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = tmp_path / "run"
    results = trained(small_store, run, "--track", "wandb")
    known = json.loads((run / "tracking.json").read_text())["wandb"]
    (log,) = run.glob(f"wandb/offline-run-*-{known}/*.wandb")
    assert stored_numbers(log) == [line["total"] for line in results["history"]]


def stored_numbers(log: Path) -> list[float]:
    """Return the losses in the log of an offline run of Weights & Biases."""
    from wandb.proto.wandb_internal_pb2 import Record

    return [
        json.loads(item.value_json)
        for content in stored_records(log.read_bytes())
        for item in Record.FromString(content).history.item
        if "loss/total" in (item.key, *item.nested_key)
    ]


def stored_records(log: bytes) -> Iterator[bytes]:
    """Yield the records of a log in LevelDB's format, behind a head of 7 bytes."""
    at, whole = 7, b""
    while at + 7 <= len(log):
        _, size, kind = struct.unpack_from("<IHB", log, at)
        whole += log[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            yield whole
            whole = b""
        left = 32768 - at % 32768
        at += left if left < 7 else 0


def test_mlflow_hears_of_a_training_without_a_server(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = package("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    run = tmp_path / "run"
    results = trained(small_store, run, "--track", "mlflow")
    known = json.loads((run / "tracking.json").read_text())["mlflow"]
    history = mlflow.MlflowClient().get_metric_history(known, "loss/total")
    assert [(point.step, point.value) for point in history] == [
        (line["epoch"], line["total"]) for line in results["history"]
    ]
    held = mlflow.get_run(known).data
    assert held.params["hidden"] == "8"
    assert held.metrics["test/event_event_av"] == results["metrics"]["test"]["event_event_av"]
