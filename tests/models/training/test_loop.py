"""Steps of several passes or processes, low precision, and going on in the middle of an epoch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models import registry, train
from models.contract.batch import Batch, Outputs
from models.contract.config import TrainConfig
from models.data.clips import open_clips
from models.data.scored import ScoredClips, ScoreTable
from models.data.source import ClipTable
from models.nets.tagging import fusion
from models.runtime import distributed as parallel
from models.training import checkpoint, loop, state
from models.training.state import Training
from schemas import UsageError
from tests.places import ROOT
from tests.stores.tagging import CLASSES, write_tagging_store

HEAD = "r2plus1d_101-probe"  # the smallest net of all: one linear layer


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine") / "store"
    return write_tagging_store(folder, features=("r2plus1d",))


def begin(store: Path, name: str = HEAD, **settings: object) -> Training:
    model, experiment = registry.find(name)
    method = registry.load(model)
    changes = {"classes": len(CLASSES), "epochs": 3, **settings}
    config = method.config.from_json({**experiment.settings, **changes})
    torch.manual_seed(1)
    data = open_clips(store, method.features(config))
    net, loss = method.build(config), method.loss(config)
    return state.begin(net, loss, data, config, method.card.task)


def test_accumulated_passes_are_one_large_batch(store: Path) -> None:
    whole = begin(store, batch_size=24, dropout=0.0)
    parts = begin(store, batch_size=8, accumulate=3, dropout=0.0)
    loop.fit(whole)
    loop.fit(parts)
    for one, other in zip(whole.state.history, parts.state.history, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    torch.testing.assert_close(whole.model.state_dict(), parts.model.state_dict())


class Recording(nn.Module):
    """A loss that keeps the progress of the batches that it saw."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.seen: list[float] = []

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss."""
        self.seen.append(batch.progress)
        terms: dict[str, Tensor] = self.loss(outputs, batch)
        return terms


def test_progress_counts_epochs_from_one(store: Path) -> None:
    training = begin(store, epochs=2, batch_size=24)  # 48 clips: two steps per epoch
    training.loss = recording = Recording(training.loss)
    loop.fit(training)
    assert recording.seen == [2 / 4, 3 / 4, 4 / 4, 5 / 4]


def test_a_last_clip_alone_joins_the_step_before() -> None:
    config = TrainConfig(batch_size=16)
    sizes = [len(step) for step in loop.steps_of(torch.arange(33), config)]
    assert sizes == [16, 17]
    assert [len(one) for one in loop.own_passes(torch.arange(17), config)] == [17]


def test_uneven_steps_split_into_as_many_passes_in_each_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = TrainConfig(batch_size=2, accumulate=3)
    monkeypatch.setattr(parallel, "world", lambda: 2)
    for size in range(2, 13):
        found = []
        for rank in (0, 1):
            monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
            found.append(loop.own_passes(torch.arange(size), config))
        assert len(found[0]) == len(found[1]) <= 3
        together = torch.cat([one for chunks in found for one in chunks])
        assert together.sort().values.tolist() == list(range(size))


@pytest.mark.parametrize("name", [HEAD, "fusion"])
def test_training_stopped_within_an_epoch_ends_as_one_that_was_not(
    store: Path, tmp_path: Path, name: str
) -> None:
    def fresh() -> Training:
        training = begin(
            store, name, batch_size=8, **({"method": "mlp"} if name == "fusion" else {})
        )
        if name == "fusion":
            table = ScoreTable(len(training.data.keys), len(CLASSES))
            rows = np.arange(table.clips)
            table.write(rows, torch.rand(table.clips, len(CLASSES)).numpy())
            facts = {one: getattr(training.data, one) for one in ClipTable.__dataclass_fields__}
            training.data = ScoredClips(
                **facts, scores=dict.fromkeys(fusion.SIDES, table),
                there=dict.fromkeys(fusion.SIDES, rows >= 0),
            )  # fmt: skip
            fusion.prepare(training)
        return training

    def stop(training: Training) -> None:
        if (training.state.epoch, training.state.step) == (2, 3):
            checkpoint.save_training(tmp_path / "resume.safetensors", training)
            raise KeyboardInterrupt

    whole, cut = fresh(), fresh()
    loop.fit(whole)
    with pytest.raises(KeyboardInterrupt):
        loop.fit(cut, stop)
    resumed = fresh()
    checkpoint.load_training(tmp_path / "resume.safetensors", resumed)
    assert (resumed.state.epoch, resumed.state.step) == (2, 3)
    torch.rand(17)  # other random numbers in between do not matter
    loop.fit(resumed)
    assert resumed.state.history == whole.state.history
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key


def test_low_precision_learns_about_the_same(store: Path) -> None:
    wide, narrow = (begin(store, precision=one, dropout=0.0) for one in ("fp32", "bf16"))
    loop.fit(wide)
    loop.fit(narrow)
    assert narrow.autocast_dtype is torch.bfloat16
    assert all(one.dtype == torch.float32 for one in narrow.model.parameters())
    assert narrow.state.history[-1]["total"] == pytest.approx(
        wide.state.history[-1]["total"], rel=0.02
    )
    assert narrow.state.history[-1]["total"] != wide.state.history[-1]["total"]
    with pytest.raises(UsageError, match="--precision fp16 needs a CUDA device; take bf16"):
        begin(store, precision="fp16")


def test_cosine_rises_and_falls() -> None:
    config = TrainConfig(schedule="cosine", epochs=40, learning_rate=1.0)
    rates = [config.learning_rate_at(epoch) for epoch in range(1, 41)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.01


def test_shared_batch_norm_alone_is_batch_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "all_reduce", lambda values: values)
    plain = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    shared = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    shared.load_state_dict(plain.state_dict())
    parallel.share_statistics(shared)
    assert isinstance(shared[1], parallel.SharedBatchNorm)
    for _ in range(3):
        batch = torch.randn(4, 2, 5, 5)
        torch.testing.assert_close(plain(batch), shared(batch))
    torch.testing.assert_close(plain.state_dict(), shared.state_dict())
    torch.testing.assert_close(plain.eval()(batch), shared.eval()(batch))


def test_two_processes_train_as_one_with_the_double_batch(tmp_path: Path) -> None:
    """MLP fusion: batch normalisation, uneven last steps, Gloo."""
    from models.tasks import tagging

    store = write_tagging_store(tmp_path / "store", train=53, features=("r2plus1d",))
    data = open_clips(store, ())
    random = np.random.default_rng(0)
    arguments = ["fusion-mlp", "--features", str(store), "--epochs", "4", "--dropout", "0"]
    for side in fusion.SIDES:
        scores = random.random((len(data.keys), len(CLASSES))).astype(np.float32)
        tags = {
            split: tagging.Tags(rows=data.rows(split), scores=scores[data.rows(split).numpy()])
            for split in ("train", "val", "test")
        }
        (tmp_path / side).mkdir()
        path = tmp_path / side / "predictions.parquet"
        tagging.write_tags(path, data, tags.items(), np.full(len(CLASSES), 0.5))
        arguments += [f"--{side}-run", str(tmp_path / side)]
    train.main([*arguments, "--batch-size", "16", "--run", str(tmp_path / "one")])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--"]
    program = [str(ROOT / "models" / "train.py"), *arguments, "--batch-size", "8"]
    done = subprocess.run(
        [*torchrun, *program, "--run", str(tmp_path / "two")],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two")
    )
    for alone, together in zip(one["history"], two["history"], strict=True):
        assert alone["total"] == pytest.approx(together["total"], rel=1e-4)
    assert two["metrics"]["test"]["map"] == pytest.approx(one["metrics"]["test"]["map"], abs=0.01)
    assert done.stdout.count("Run folder") == 1


def test_a_save_holds_the_loss_of_all_processes(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, first = begin(store, batch_size=24), begin(store, batch_size=24)
    monkeypatch.setattr(first.task.__class__, "can_validate", lambda *_: False)

    def stop(training: Training) -> None:
        checkpoint.save_training(tmp_path / "resume.safetensors", training)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        loop.fit(alone, stop)
    with monkeypatch.context() as two:
        two.setattr(parallel, "world", lambda: 2)
        two.setattr(parallel, "total", lambda values: values + 1000.0)  # the other's loss
        with pytest.raises(InterruptedError):
            loop.fit(first, stop)
    again = begin(store, batch_size=24)
    checkpoint.load_training(tmp_path / "resume.safetensors", again)
    assert set(again.state.sums) == set(alone.state.sums)
    assert all(value > 1000.0 for value in again.state.sums.values())


def test_new_settings_do_not_stop_an_old_training(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "resume.safetensors"
    old = begin(store)
    checkpoint.save_training(path, old)
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
    assert facts["config"].pop("accumulate") == 1
    save_file(load_file(path), path, metadata={"facts": json.dumps(facts)})
    checkpoint.load_training(path, begin(store))
    with pytest.raises(UsageError, match="was started with accumulate 1, not 2"):
        checkpoint.load_training(path, begin(store, accumulate=2))
