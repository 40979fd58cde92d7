"""Contrastive term against the authors' code, and the labels that stage 2 drops."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.contract.batch import Batch, Outputs
from models.data.clips import open_clips
from models.nets.parsing import wu_yang
from models.training import loop
from models.training.state import begin
from tests.models.batches import fill_by_formula, formula_batch, make_batch
from tests.places import GOLDENS

GOLDEN = np.load(GOLDENS / "wu_formula.npz")


def test_similarities_and_contrastive_loss_are_those_of_the_authors_code() -> None:
    model = wu_yang.Model(wu_yang.Config())
    fill_by_formula(model, GOLDEN["names"].tolist())
    outputs = model.double().eval()(formula_batch(torch.zeros(3, 25)))
    similarity = outputs.extra["similarity"]
    np.testing.assert_allclose(
        similarity.detach().flatten(0, 1), GOLDEN["sims"], rtol=0, atol=1e-13
    )
    loss = wu_yang.contrastive_loss(similarity, 0.1).item()
    assert loss == pytest.approx(float(GOLDEN["contrastive_loss"]), abs=1e-13)
    np.testing.assert_allclose(outputs.clip.detach(), GOLDEN["global_prob"], rtol=0, atol=1e-13)


def test_dropped_labels_become_zero_after_smoothing() -> None:
    config = wu_yang.Config(hidden=16, feedforward=16, classes=5)
    batch = make_batch(clips=4, classes=5)
    outputs = wu_yang.Model(config).eval()(batch)
    assert outputs.clip_visual is not None
    dropped = batch.labels > 0
    none = torch.zeros_like(dropped)
    terms = wu_yang.Loss(config)(
        outputs, replace(batch, dropped_audio=none, dropped_visual=dropped)
    )
    target = torch.full_like(batch.labels, 0.05).masked_fill(dropped, 0.0)
    wanted = torch.nn.functional.binary_cross_entropy(outputs.clip_visual, target)
    torch.testing.assert_close(terms["visual"], wanted)
    whole = wu_yang.Loss(config)(outputs, batch)
    torch.testing.assert_close(terms["audio"], whole["audio"])
    torch.testing.assert_close(terms["video"], whole["video"])


def test_partners_share_no_class_and_are_drawn_from_all() -> None:
    labels = (torch.rand(300, 6, generator=torch.Generator().manual_seed(1)) < 0.25).float()
    labels[torch.arange(300), torch.arange(300) % 6] = 1.0
    labels[7] = 1.0
    partner = wu_yang.foreign_partners(labels, seed=2, block=64)
    assert partner[7] == -1
    for clip, other in enumerate(partner.tolist()):
        if other >= 0:
            assert (labels[clip] * labels[other]).sum() == 0
    assert len(set(partner.tolist())) > 100
    assert torch.equal(partner, wu_yang.foreign_partners(labels, seed=2, block=64))
    assert not torch.equal(partner, wu_yang.foreign_partners(labels, seed=3, block=64))


class Oracle(wu_yang.Model):
    """Hears class c when VGGish[c] is set and sees it when ResNet[c] is set, with slips."""

    def __init__(self) -> None:
        super().__init__(wu_yang.Config(hidden=8, feedforward=8, classes=4))

    def forward(self, batch: Batch) -> Outputs:
        heard = batch.features["vggish"][:, :, :4].amax(dim=1)
        seen = batch.features["resnet152"][:, :, :4].amax(dim=1)
        clip = torch.maximum(heard, seen)
        return Outputs(clip=clip, clip_audio=heard, clip_visual=seen)


def test_stage_two_drops_what_a_foreign_track_refutes(small_store: Path) -> None:
    clips = open_clips(small_store, wu_yang.CARD.needs)
    rows = clips.rows("train")
    labels = torch.zeros(len(clips.keys), 4)
    labels[rows, rows % 4] = 1.0
    sound, picture = torch.zeros(len(labels), 10, 128), torch.zeros(len(labels), 10, 2048)
    sound[rows, 0, rows % 4] = 1.0  # every label is heard
    seen = rows[rows % 3 > 0]  # and only these are seen
    picture[seen, 0, seen % 4] = 1.0
    made = replace(
        clips, labels=labels, features={**clips.features, "vggish": sound, "resnet152": picture}
    )
    sound[rows[0], 0, :] = 1.0 - sound[rows[0], 0, :4].repeat(32)  # an error, so none divides by 0
    audio, visual = wu_yang.refuted_labels(Oracle(), made, wu_yang.Config(classes=4))
    unseen = [row for row in rows.tolist() if row % 3 == 0]
    dropped = {row for row in rows.tolist() if visual[row].any()}
    assert dropped == set(unseen)
    assert not visual[:, :][labels == 0].any()
    assert {row for row in rows.tolist() if audio[row].any()} <= {int(rows[0])}


def test_three_stages_run_and_stage_three_starts_from_scratch(small_store: Path) -> None:
    clips = open_clips(small_store, wu_yang.CARD.needs)
    config = wu_yang.Config(hidden=16, feedforward=16, classes=4, epochs=2, learning_rate=0.01)
    torch.manual_seed(config.seed)
    model = wu_yang.Model(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training = begin(model, wu_yang.Loss(config), clips, config, wu_yang.CARD.task)
    wu_yang.prepare(training)
    assert training.data.dropped is not None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert training.state.epoch == 0
    loop.fit(training)
    assert training.state.kept_epoch == 2
