"""Trainings that are killed at a write or a rename go on and end as if nothing had happened."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from models import train
from tests.killed import count_equal, count_kill
from tests.models.commands import run_command

Moment = Literal["half", "before", "after"]
MOMENTS: tuple[Moment, ...] = ("half", "before", "after")
"""With half of the file written, before it is renamed, after it was."""
SMALL = ("--hidden", "8", "--feedforward", "8", "--epochs", "2", "--save-every-s", "0")
STEPS = ["resume.safetensors"] * 3
"""Saves of an epoch, one after each step."""
FILES = ("config.json", *STEPS, "history.csv", "resume.safetensors", *STEPS, "history.csv",
         "checkpoint.safetensors", "predictions.parquet", "results.json", "timelines.png",
         "confusion.png", "curves.png", "report.html")  # fmt: skip
"""What a training of two epochs writes, in order."""
KILLS: list[tuple[int, Moment]] = [
    (0, "half"), (1, "before"), (2, "half"), (4, "before"), (4, "after"), (6, "after"),
    (9, "half"), (9, "after"), (10, "half"), (11, "after"), (12, "half"), (12, "after"),
    (14, "half"), (16, "half"),
]  # fmt: skip
ALL_KILLS = [
    pytest.param(kill, moment, marks=pytest.mark.kills)
    for kill in range(len(FILES))
    for moment in MOMENTS
]


def train_until(kill: int, moment: Moment, arguments: list[str]) -> None:
    """Train in this process, with as many threads as the test, and kill it at a rename."""
    torch.set_num_threads(1)
    rename = Path.replace
    count = 0

    def replace(self: Path, target: Any) -> Path:
        nonlocal count
        assert Path(target).name == FILES[count]
        if count == kill:
            if moment == "half":
                os.truncate(self, self.stat().st_size // 2)
            if moment == "after":
                rename(self, target)
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        return rename(self, target)

    Path.replace = replace  # type: ignore[method-assign, assignment]
    train.main(arguments)


@pytest.fixture(scope="module")
def whole(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = tmp_path_factory.mktemp("whole") / "run"
    given = ("han", "--features", small_store, "--run", run, *SMALL)
    assert run_command(train.main, *given).returncode == 0
    return results(run)


def results(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "results.json").read_text())
    return content | {"seconds": 0, "history.csv": (run / "history.csv").read_text()}


@pytest.mark.parametrize(("kill", "moment"), [*KILLS, *ALL_KILLS])
def test_killed_training_goes_on_and_ends_as_one_that_was_not(
    whole: dict[str, Any], small_store: Path, tmp_path: Path, kill: int, moment: Moment
) -> None:
    run = tmp_path / "run"
    given = ["han", "--features", str(small_store), "--run", str(run), *SMALL]
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["models.train", "models.nets.parsing.han"])
    child = processes.Process(target=train_until, args=(kill, moment, given))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    count_kill()
    begun = kill > 0 or moment == "after"
    ended = (kill, moment) == (len(FILES) - 1, "after")
    assert ended or run_command(train.main, *given, *["--resume"] * begun).returncode == 0
    assert results(run) == whole
    assert {path.name for path in run.iterdir()} == set(FILES) - {"resume.safetensors"}
    count_equal()
