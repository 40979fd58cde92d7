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
from tests.models.batches import formula_batch, formula_state, make_batch
from tests.places import GOLDENS
from tests.stores.parsing import CLASSES

FOLDER = GOLDENS
LOSS, GRAPH = np.load(FOLDER / "avg_loss.npz"), np.load(FOLDER / "avg_graph_gt.npz")
FORWARD = np.load(FOLDER / "avg_forward.npz")
"""The authors' whole net in evaluation mode, with 2 layers of width 16."""
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


def authors_state() -> dict[str, Tensor]:
    shapes = [torch.Size(shape[shape > 0].tolist()) for shape in FORWARD["shapes"]]
    names = FORWARD["names"].tolist()
    return formula_state(dict(zip(names, shapes, strict=True)), names)


def test_whole_net_is_that_of_the_authors_code() -> None:
    config = avg.Config(hidden=16, heads=8, layers=2, feedforward=24, width=512)
    model = avg.Model(config)
    weights = avg.CARD.released.convert(authors_state())
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    batch = formula_batch(torch.zeros(3, 25))
    pooled = {**batch.features, "resnet152": batch.features["resnet152"].mean(dim=2)}
    outputs = model.double().eval()(replace(batch, features=pooled))
    assert outputs.audio is not None
    assert outputs.visual is not None
    for ours, theirs in (
        (outputs.clip, "global_prob"), (outputs.clip_audio, "a_prob"),
        (outputs.clip_visual, "v_prob"),
        (torch.stack([outputs.audio, outputs.visual], dim=2), "frame_prob"),
    ):  # fmt: skip
        np.testing.assert_allclose(ours.detach(), FORWARD[theirs], rtol=0, atol=1e-12)


def test_names_of_the_authors_class_become_ours_or_are_listed_as_unused() -> None:
    config = avg.Config(hidden=16, heads=8, layers=2, feedforward=24, width=512)
    names = avg.CARD.released.convert(authors_state()).keys()
    extra = names - avg.Model(config).state_dict().keys()
    unused = tuple(f"{module}." for module in avg.CARD.released.unused)
    assert extra
    assert all(name.startswith(unused) for name in extra)
    assert avg.Model(config).state_dict().keys() <= names


def test_fine_tuning_is_without_dropout_unless_asked_for(small_store: Path) -> None:
    clips = open_clips(small_store, avg.CARD.needs)
    for asked in (False, True):
        model, config = small(finetune_dropout=asked)
        avg.stop_dropout(begin(model, avg.Loss(config), clips, config, avg.CARD.task))
        batch = make_batch(clips=2, classes=4)
        model.train()
        assert torch.equal(model(batch).clip, model(batch).clip) is not asked


def test_codes_of_the_seconds_are_drawn_and_never_trained() -> None:
    model, _ = small()
    tables = [value for name, value in model.state_dict().items() if name.endswith(".positions")]
    assert len(tables) == 3
    assert not torch.equal(tables[0], tables[1])
    assert not [name for name, _ in model.named_parameters() if name.endswith("positions")]
    with pytest.raises(UsageError, match="codes for 10 seconds and a clip has 12"):
        model(make_batch(clips=2, classes=4, seconds=12))
    longer, _ = small(positions="sinusoid")
    assert longer(make_batch(clips=2, classes=4, seconds=12)).clip.shape == (2, 4)


def test_objectives_take_turns_and_cross_is_first() -> None:
    model, config = small(objective="multi")
    batch, truth = make_batch(clips=2, classes=4), torch.eye(10, dtype=torch.bool).expand(2, 10, 10)
    frames, sound = model.eval().encode(batch, motion=False)
    for epoch, objective in ((1, "cross"), (2, "uni")):
        torch.manual_seed(5)
        found = avg._grounding(model, batch, truth, config, epoch)
        torch.manual_seed(5)
        second = int(torch.randint(10, ()))
        one: Objective = "cross" if objective == "cross" else "uni"
        wanted = grounding_terms(sound, frames, truth[:, second], second, one)
        torch.testing.assert_close(found, wanted)
    summed = avg._grounding(model, batch, truth, config, 1, second=3)
    torch.testing.assert_close(summed, grounding_terms(sound, frames, truth[:, 3], 3, "multi"))


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
    for path, sentence in (
        (wrong, r"is float64 \(12,\), need float \(128,\) or"),
        (tmp_path / "no", "not open"),
    ):
        model, config = small(silence_file=str(path))
        training = begin(model, avg.Loss(config), clips, config, avg.CARD.task)
        with pytest.raises(UsageError, match=sentence):
            avg.prepare(training)
