"""Processes that decode frames ahead: a signal to all of them, and one that is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from models.contract.batch import Batch
from models.contract.config import PixelConfig
from models.data.streaming.clips import open_data
from schemas import JobError
from tests.places import ROOT
from tests.stores.tagging import write_tagging_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loaders") / "store"
    return write_tagging_store(
        folder, train=12, val=4, test=4, seconds=1, features=("r2plus1d",), frames=True
    )


def reading(store: Path) -> tuple[Iterator[Batch], list[psutil.Process]]:
    """Batches of two loader processes, which run."""
    before = set(psutil.Process().children())
    config = PixelConfig(side=32, clip_frames=2, views=1, workers=2)
    data = open_data(store, ("frames",), None, config)
    batches = iter(data.load([torch.tensor([row % len(data.keys)]) for row in range(200)]))
    next(batches)
    return batches, [child for child in psutil.Process().children() if child not in before]


def test_ctrl_c_and_a_closed_terminal_are_not_for_loader_processes(store: Path) -> None:
    batches, loaders = reading(store)
    assert len(loaders) >= 2
    for sign in (signal.SIGINT, signal.SIGHUP):
        for loader in loaders:
            loader.send_signal(sign)
    assert len(list(batches)) == 199
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_killed_loader_process_is_said_in_one_sentence(store: Path) -> None:
    batches, loaders = reading(store)
    for loader in loaders:
        loader.kill()
    with pytest.raises(JobError, match=r"a process that reads features was killed, .* --workers 0"):
        list(batches)


def test_ctrl_c_to_all_processes_of_a_training_is_one_line(store: Path, tmp_path: Path) -> None:
    command = ("r2plus1d_101", "--features", store, "--run", tmp_path / "run", "--epochs", 999)
    more = ("--depth", 18, "--width", 4, "--side", 32, "--clip-frames", 2, "--workers", 2)
    training = subprocess.Popen(
        [sys.executable, ROOT / "models" / "train.py", *map(str, (*command, *more))], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    while len(psutil.Process(training.pid).children()) < 2:
        assert training.poll() is None
        time.sleep(0.01)
    os.killpg(training.pid, signal.SIGINT)
    said = training.communicate(timeout=60)[0].splitlines()
    assert training.returncode == 130, said
    assert said[-1] == "stopped; --resume goes on from the last save"
    others = [line for line in said if "epoch" not in line and "enlarged" not in line]
    assert len(others) == 1, others
