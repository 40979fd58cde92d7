"""VALOR and VALOR+ against the authors' code, and a training on pseudo labels."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models import train
from models.contract.config import TrainConfig
from models.nets.parsing import valor
from models.registry import find, load
from models.training.results import RunResults
from schemas import UsageError
from tests.models.batches import by_formula
from tests.models.data.test_pseudo_labels import labels_of
from tests.models.nets.parsing.authors import check_step, golden, scored_batch
from tests.stores.parsing import ParsingRows

FILES = [("valor", "valor"), ("valor+", "valor_plus"), ("valor++", "valor_plus_plus")]


@pytest.mark.parametrize(("name", "file"), FILES)
def test_outputs_loss_gradients_and_step_are_those_of_the_authors_code(
    name: str, file: str
) -> None:
    config = valor.Config.from_json({**find(name)[1].settings, "dropout": 0.0})
    numbers = golden(file)
    net, loss = valor.Model(config), valor.Loss(config)
    batch = scored_batch(numbers)
    more = {
        feature: by_formula(index, torch.Size((3, 10, width)), 1.0).double()
        for index, (feature, width) in enumerate((("clap", 512), ("clip", 768)), 110)
    }
    batch = replace(batch, features={**batch.features, **more})
    check_step(numbers, net, loss, config, batch)


def test_learning_rate_warms_up_and_falls_to_its_floor() -> None:
    config = valor.Config()
    rates = [config.learning_rate_at(epoch) for epoch in (1, 5, 10, 35, 60)]
    assert rates == pytest.approx([1e-5, 5e-5, 1e-4, (1e-4 + 1e-6) / 2, 1e-6])
    plain = TrainConfig(schedule="warmup-cosine", epochs=3, warmup_epochs=1, learning_rate=1.0)
    assert [plain.learning_rate_at(epoch) for epoch in (1, 2, 3)] == [1.0, 0.5, 0.0]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with pseudo labels."""
    rows = ParsingRows()
    more = {"pseudo_labels": labels_of(rows)}
    return rows.write(tmp_path_factory.mktemp("store"), more=more)


def test_training_reads_the_table_and_says_so(store: Path, tmp_path: Path) -> None:
    options = ("--epochs", "2", "--hidden", "16", "--feedforward", "16", "--heads", "2")
    train.main(["valor", "--features", str(store), "--run", str(tmp_path / "run"), *options])
    results = RunResults.read(tmp_path / "run" / "results.json")
    assert "nobody has said where the pseudo labels come from" in results.caveats
    assert {"video", "audio", "visual"} <= results.history[0].keys()


def test_store_without_labels_is_refused_before_anything_is_written(
    small_store: Path, tmp_path: Path
) -> None:
    for name in ("valor", "uwav"):
        with pytest.raises(UsageError, match="has no table pseudo_labels, which this net trains"):
            train.main([name, "--features", str(small_store), "--run", str(tmp_path / name)])
        assert not (tmp_path / name).exists()


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    for name in ("valor", "uwav", "mm_pyramid"):
        method = load(name)
        with pytest.raises(ValueError, match="hidden must be a multiple of heads, got 30"):
            replace(method.config(), hidden=30)
