"""CoLeaF against the authors' code: outputs, terms, gradients, the step, what is tested with.

Their loop was run with one change, which the card names: the references' step comes last.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models import train
from models.contract.batch import Batch
from models.data.clips import open_clips
from models.nets.parsing import coleaf, coleaf_losses
from models.tasks import parsing
from models.training.state import begin
from schemas import UsageError
from tests.models.batches import fill_by_formula
from tests.models.nets.parsing.authors import (
    assert_close,
    check_step,
    golden,
    scored_batch,
)

EXACT = coleaf.Config(dropout=0.0, visual_dropout=0.0, head_dropout=0.0)
STEPS = 4
RATIOS = np.linspace(0.3, 0.9, 25)


def loss_at(name: str, epoch: int, step: int) -> tuple[coleaf.Loss, Batch]:
    """The loss with the golden file's noise ratios, and its batch at a step of an epoch."""
    loss = coleaf.Loss(EXACT)
    loss.noise_audio.copy_(torch.from_numpy(RATIOS))
    loss.noise_visual.copy_(torch.from_numpy(RATIOS[::-1].copy()))
    loss.steps.fill_(STEPS)
    progress = (step + epoch * STEPS) / (EXACT.epochs * STEPS)
    return loss, replace(scored_batch(golden(name)), progress=progress)


@pytest.mark.parametrize(("name", "epoch", "step"), [("coleaf_first", 1, 0), ("coleaf", 5, 1)])
def test_outputs_loss_gradients_and_step_are_those_of_the_authors_code(
    name: str, epoch: int, step: int
) -> None:
    numbers, (loss, batch) = golden(name), loss_at(name, epoch, step)
    check_step(numbers, coleaf.Model(EXACT), loss, EXACT, batch)


def test_evaluation_mixes_both_ways_and_needs_no_reference() -> None:
    numbers, batch = golden("coleaf"), scored_batch(golden("coleaf"))
    net = coleaf.Model(replace(EXACT, references=False)).double().eval()
    fill_by_formula(net, numbers["names"].tolist())
    with torch.no_grad():
        outputs = net(batch)
    assert_close(outputs.clip_audio, numbers["tested_audio"])
    assert_close(outputs.clip_visual, numbers["tested_visual"])
    assert outputs.audio is not None
    assert_close(outputs.audio, numbers["tested_frame"][:, :, 0])
    assert outputs.extra == {}


def test_place_in_the_training_is_found_from_its_share() -> None:
    loss, _ = loss_at("coleaf", 1, 0)
    places = [(epoch, step) for epoch in range(1, EXACT.epochs + 1) for step in range(STEPS)]
    shares = [(step + epoch * STEPS) / (EXACT.epochs * STEPS) for epoch, step in places]
    assert [loss.place(share) for share in shares] == places


def test_what_is_nearly_right_is_free() -> None:
    probability = torch.tensor([[0.04, 1.0]], requires_grad=True)
    loss = coleaf_losses.asymmetric_loss(probability, torch.tensor([[0.0, 1.0]]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0
    assert probability.grad is not None
    assert not probability.grad.any()


def test_odd_steps_teach_the_clip_and_even_ones_the_modalities() -> None:
    batch = scored_batch(golden("coleaf"))
    net = coleaf.Model(EXACT).double().train()
    fill_by_formula(net, golden("coleaf")["names"].tolist())
    for step, learns, stays in ((1, "classifier2", "fc_prob"), (2, "fc_prob", "classifier2")):
        net.zero_grad()
        outputs = net(batch)
        held = {name: value.detach() for name, value in outputs.extra.items()}
        term = coleaf_losses.mutual_loss(replace(outputs, extra=held), batch.labels, step)
        term.backward()  # type: ignore[no-untyped-call]
        for name, moves in ((learns, True), (stays, False)):
            gradient = net.get_parameter(f"{name}.weight").grad
            assert (gradient is not None and bool(gradient.any())) == moves


def test_thresholds_of_the_authors_decide(small_store: Path) -> None:
    clips = open_clips(small_store, coleaf.CARD.needs)
    config = coleaf.Config(hidden=8, feedforward=8, classes=4, gate="modality")
    torch.manual_seed(0)
    net, rows = coleaf.Model(config), clips.rows("test")
    found = coleaf.CARD.task.predict(net, clips, rows, config)
    net.eval()
    batch = next(clips.batches(rows, len(rows)))
    with torch.no_grad():
        outputs = net(batch)
    assert outputs.clip_audio is not None
    opened = (outputs.clip_audio >= 0.52)[:, None].numpy()
    np.testing.assert_array_equal(found.heard, opened & (found.audio >= 0.25))
    halves = parsing.predict(net, clips, rows, config)
    assert (found.heard != halves.heard).any()


def test_training_runs_with_a_file_of_ratios_and_without(small_store: Path, tmp_path: Path) -> None:
    clips = open_clips(small_store, coleaf.CARD.needs)
    config = coleaf.Config(hidden=8, feedforward=8, classes=4, epochs=1, batch_size=16)
    training = begin(coleaf.Model(config), coleaf.Loss(config), clips, config, coleaf.CARD.task)
    coleaf.prepare(training)
    assert isinstance(training.loss, coleaf.Loss)
    assert int(training.loss.steps) == -(-len(clips.rows("train")) // 16)
    assert training.loss.noise_visual.any()
    words = ["coleaf", "--features", str(small_store), "--run", str(tmp_path / "run")]
    with pytest.raises(UsageError, match="is trained with its references"):
        train.main([*words, "--no-references"])
