"""Grounding against the authors' numbers; pre-training of the transformer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.data.clips import ClipData, open_clips
from models.nets.parsing import avg
from models.nets.parsing.avg_grounding import Objective, graph_truth, grounding_terms
from models.training import loop
from models.training.state import begin
from schemas import UsageError
from tests.models.batches import make_batch
from tests.places import GOLDENS
from tests.stores.parsing import CLASSES

FOLDER = GOLDENS
LOSS, GRAPH = np.load(FOLDER / "avg_loss.npz"), np.load(FOLDER / "avg_graph_gt.npz")
SMALL = {
    "hidden": 16, "heads": 2, "layers": 2, "feedforward": 16, "width": 16, "classes": len(CLASSES),
    "learning_rate": 1e-3, "pretrain_epochs": 3, "epochs": 2,
}  # fmt: skip


@pytest.mark.parametrize("objective", ["uni", "cross", "multi"])
def test_grounding_losses_are_the_published_expressions(objective: Objective) -> None:
    found = grounding_terms(
        torch.from_numpy(LOSS["audio"]),
        torch.from_numpy(LOSS["video"]),
        torch.from_numpy(LOSS["labels"]),
        int(LOSS["index"]),
        objective,
        (float(LOSS["margin_pos"]), float(LOSS["margin_neg"])),
    )
    assert found.item() == pytest.approx(float(LOSS[objective]), abs=1e-12)


def golden_clip(clip: int) -> tuple[Tensor, Tensor]:
    picture, sound = GRAPH[f"{clip}/video_pooled"], GRAPH[f"{clip}/audio"]
    return torch.from_numpy(picture)[None], torch.from_numpy(sound)[None]


@pytest.mark.parametrize("clip", range(6))
def test_graph_truth_is_that_of_the_authors_code_and_of_the_paper(clip: int) -> None:
    picture, sound = golden_clip(clip)
    silence = torch.from_numpy(GRAPH["silent_embedding"])
    code = graph_truth(picture, sound, rule="code", silence=silence)[0]
    np.testing.assert_array_equal(code, GRAPH[f"{clip}/gt_code"])
    paper = graph_truth(picture, sound)[0]
    np.testing.assert_array_equal(paper, GRAPH[f"{clip}/gt_paper_or_rule"])


def test_graph_truth_joins_through_others_and_is_an_equivalence() -> None:
    angle = torch.arange(10) * 0.25  # neighbours alike (cosine 0.969), the ends are not
    picture = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)[None]
    sound = torch.eye(10)[None]
    assert graph_truth(picture, sound).all()
    picture = torch.cat([picture[:, :5], -picture[:, 5:]], dim=1)
    truth = graph_truth(picture, sound)[0]
    assert torch.equal(truth, truth.T)
    assert truth[:5, :5].all()
    assert truth[5:, 5:].all()
    assert not truth[:5, 5:].any()


def small(**settings: object) -> tuple[avg.Model, avg.Config]:
    torch.manual_seed(0)
    config = avg.Config.from_json({**SMALL, **settings})
    return avg.Model(config), config


def test_leaving_motion_tokens_out_is_masking_them() -> None:
    model, _ = small()
    batch = make_batch(clips=2, classes=4)
    frames, sound = model.eval().encode(batch, motion=False)
    kinds = [model.kinds.weight[index] for index in (0, 1, 1)]
    tokens = [
        one(batch.features[name], kind)
        for (name, one), kind in zip(model.tokens.items(), kinds, strict=True)
    ]
    mask = torch.zeros(2, 30, dtype=torch.bool)
    mask[:, 20:] = True
    masked = model.encoder(torch.cat(tokens, dim=1), src_key_padding_mask=mask)
    torch.testing.assert_close(torch.cat([frames, sound], dim=1), masked[:, :20])


def test_order_of_seconds_matters_through_their_positions() -> None:
    model, _ = small()
    batch = make_batch(clips=2, classes=4)
    turned = replace(batch, features={name: x.flip(1) for name, x in batch.features.items()})
    assert not torch.allclose(model.eval()(batch).clip, model(turned).clip, atol=1e-7)


@torch.no_grad()
def grounding(model: avg.Model, clips: ClipData, config: avg.Config) -> float:
    """Loss that the pre-training minimises, mean over the seconds of the training clips."""
    batch = clips.batch(clips.rows("train"))
    frames, sound = model.eval().encode(batch, motion=False)
    features = batch.features["resnet152"], batch.features["vggish"]
    truth = graph_truth(*features, rule=config.rule)
    losses = [
        grounding_terms(sound, frames, truth[:, second], second, config.objective)
        for second in range(10)
    ]
    return torch.stack(losses).mean().item()


@pytest.mark.parametrize(
    "settings",
    [{"objective": "uni"}, {"objective": "cross"}, {"alternate": True}, {"rule": "code"}],
)
def test_pretraining_lowers_the_grounding_loss_and_keeps_the_optimiser(
    small_store: Path, settings: dict[str, object]
) -> None:
    clips = open_clips(small_store, avg.CARD.needs)
    model, config = small(**settings, pretrain_epochs=4)
    training = begin(model, avg.Loss(config), clips, config, avg.CARD.task)
    before = grounding(model, clips, config)
    avg.prepare(training)
    assert grounding(model, clips, config) < before
    assert training.optimizer.state_dict()["state"]
    loop.fit(training)
    assert len(training.state.history) == 2


def test_pretraining_can_use_another_store(small_store: Path) -> None:
    clips = open_clips(small_store, avg.CARD.needs)
    model, config = small(pretrain_features=str(small_store), pretrain_epochs=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training = begin(model, avg.Loss(config), clips, config, avg.CARD.task)
    avg.prepare(training)
    after, name = model.state_dict(), "tokens.vggish.project.weight"
    assert torch.equal(after["fc_a.weight"], before["fc_a.weight"])  # heads are not pre-trained
    assert not torch.equal(after[name], before[name])


def test_bad_silence_file_is_one_sentence(small_store: Path, tmp_path: Path) -> None:
    clips = open_clips(small_store, avg.CARD.needs)
    wrong = tmp_path / "silence.npy"
    np.save(wrong, np.zeros(12))
    for path, sentence in ((wrong, r"is \(12,\), need \(128,\)"), (tmp_path / "no", "not open")):
        model, config = small(silence_file=str(path))
        training = begin(model, avg.Loss(config), clips, config, avg.CARD.task)
        with pytest.raises(UsageError, match=sentence):
            avg.prepare(training)
