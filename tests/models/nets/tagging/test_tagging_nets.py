"""What every model over bags of instances and over log-mel keeps."""

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

from models import registry
from models.contract.batch import Batch
from models.data.clips import open_clips
from models.nets.tagging import cvssp, mil, two_stream
from models.training.caveats import changed_settings, said
from models.training.method import NetMethod
from models.training.state import begin
from schemas import UsageError
from schemas.features import BOX_CONTEXTS, BOXES, extractor_of
from tests.models.batches import bag_batch
from tests.stores.bags import write_bag_store
from tests.stores.parsing import ParsingRows

SMALL = {"hidden": 16, "channels": 4, "snapshots": 3, "classes": 5, "dropout": 0.0}
NAMES = sorted(
    name
    for name, (model, _) in registry.experiments().items()
    if model in ("two_stream", "ncp_mil", "cvssp")
)


def small(name: str) -> tuple[NetMethod[Any], two_stream.Config, nn.Module]:
    model, experiment = registry.find(name)
    module = registry.load(model)
    known = {one.name for one in dataclasses.fields(module.config)}
    changes = {key: value for key, value in SMALL.items() if key in known}
    config = module.config.from_json({**experiment.settings, **changes})
    torch.manual_seed(3)
    return module, config, module.build(config)


def rows_of(batch: Batch, rows: slice) -> Batch:
    return dataclasses.replace(
        batch,
        features={name: values[rows] for name, values in batch.features.items()},
        present={name: values[rows] for name, values in batch.present.items()},
        labels=batch.labels[rows],
    )


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_clips_are_shares_and_do_not_mix(name: str) -> None:
    _, _, model = small(name)
    batch = bag_batch()
    clip = model.eval()(batch).clip
    assert clip.shape == (8, 5)
    assert ((clip >= 0) & (clip <= 1)).all()
    alone = model(rows_of(batch, slice(2, 3))).clip
    torch.testing.assert_close(clip[2:3], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_loss_falls_and_every_parameter_learns(name: str) -> None:
    module, config, model = small(name)
    loss, batch = module.loss(config), bag_batch()
    heavy = name.startswith("cvssp")
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3 if heavy else 1e-3)
    first = None
    for step in range(8 if heavy else 30):
        optimizer.zero_grad()
        terms = loss(model.train()(batch), batch)
        assert torch.isfinite(terms["total"])
        torch.autograd.backward(terms["total"])
        first = terms["total"].item() if first is None else first
        if step == 0:
            still = [key for key, one in model.named_parameters() if one.grad is None]
            assert still == []
        optimizer.step()
    assert first is not None
    assert terms["total"].item() < 0.97 * first


@pytest.mark.parametrize("name", NAMES)
def test_config_survives_json(name: str) -> None:
    module, config, _ = small(name)
    assert module.config.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert set(map(extractor_of, module.features(config))) <= set(
        map(extractor_of, module.card.needs)
    )


@pytest.mark.parametrize("streams", sorted(two_stream.STREAMS))
def test_each_kind_of_instances_has_scores_that_sum_to_its_clip(streams: str) -> None:
    torch.manual_seed(0)
    model = registry.build("two_stream", streams=streams, hidden=8, classes=5, normalise=False)
    batch = bag_batch()
    outputs = model.eval()(batch)
    kinds = two_stream.STREAMS[streams]
    heard = {"heard"} if "segments" in kinds else set()
    heard |= {"component_classes"} if "components" in kinds else set()
    assert set(outputs.extra) == {"score", *kinds, *heard}
    total = sum(outputs.extra[kind].sum(dim=1) for kind in kinds)
    torch.testing.assert_close(outputs.extra["score"], total)
    for kind in kinds:
        assert not outputs.extra[kind][~batch.present[kind]].any()


def test_clip_without_boxes_is_judged_by_its_sound_alone() -> None:
    torch.manual_seed(0)
    model = registry.build("two_stream", hidden=8, classes=5).eval()
    batch = bag_batch()
    moved = {**batch.features, "proposals": batch.features["proposals"] + 3.0}
    other = dataclasses.replace(batch, features=moved)
    last, others = slice(-1, None), slice(None, -1)
    assert torch.equal(model(batch).clip[last], model(other).clip[last])
    assert not torch.allclose(model(batch).clip[others], model(other).clip[others])
    empty = {name: torch.zeros_like(there) for name, there in batch.present.items()}
    silent = model(dataclasses.replace(batch, present=empty))
    assert torch.equal(silent.clip, torch.full_like(silent.clip, 0.5))


def test_cross_entropy_and_normalisation_are_switches() -> None:
    batch = bag_batch()
    torch.manual_seed(0)
    config = two_stream.Config(hidden=8, classes=5, loss="bce", normalise=False, dropout=0.0)
    model, loss = two_stream.Model(config), two_stream.Loss(config)
    outputs = model(batch)
    wanted = nn.functional.binary_cross_entropy(outputs.clip, batch.labels)
    torch.testing.assert_close(loss(outputs, batch)["total"], wanted)
    normalised = registry.build("two_stream", hidden=8, classes=5).eval()(batch).extra["score"]
    assert (normalised.norm(dim=1) <= 2.0 + 1e-5).all()


def test_a_box_is_located_by_how_far_it_is_above_its_surroundings() -> None:
    torch.manual_seed(0)
    config = two_stream.Config(hidden=8, classes=5, context="contrast", normalise=False)
    assert two_stream.needs(config) == ("segments", "proposals", BOX_CONTEXTS)
    model, batch = two_stream.Model(config).eval(), bag_batch()
    same = {**batch.features, BOX_CONTEXTS: batch.features["proposals"]}
    outputs = model(dataclasses.replace(batch, features=same))
    scorer = cast(two_stream.Scorer, model.scorers["proposals"])
    there = batch.present["proposals"]
    classes = scorer.classify(scorer.embed(batch.features["proposals"]))
    even = classes / there.sum(dim=1).clamp_min(1)[:, None, None] * there[:, :, None]
    torch.testing.assert_close(outputs.extra["proposals"], even)  # no box is above the others
    other = model(batch).extra["proposals"]
    assert not torch.allclose(other, even, atol=1e-4)


def test_temperature_and_objectness_are_switches() -> None:
    batch = bag_batch()
    found = {}
    switches: dict[str, dict[str, Any]] = {
        "plain": {}, "warm": {"temperature": 2.0}, "hot": {"temperature": 1e9},
        "weighed": {"box_scores": 10.0},
    }  # fmt: skip
    for name, settings in switches.items():
        torch.manual_seed(0)
        config = two_stream.Config(hidden=8, classes=5, streams="video", **settings)
        found[name] = two_stream.Model(config).eval()(batch).extra["proposals"]
    assert len({scores.abs().sum().item() for scores in found.values()}) == 4
    torch.manual_seed(0)
    plain = two_stream.Model(two_stream.Config(hidden=8, classes=5, streams="video")).eval()
    factor = 1 + 10 * batch.features[BOXES][:, :, 5:]
    heavier = {**batch.features, "proposals": batch.features["proposals"] * factor}
    torch.testing.assert_close(
        plain(dataclasses.replace(batch, features=heavier)).extra["proposals"], found["weighed"]
    )
    scorer = cast(two_stream.Scorer, plain.scorers["proposals"])
    there = batch.present["proposals"]
    classes = scorer.classify(scorer.embed(batch.features["proposals"]))
    even = classes / there.sum(dim=1).clamp_min(1)[:, None, None] * there[:, :, None]
    torch.testing.assert_close(found["hot"], even)


def test_boxes_near_the_best_one_are_drawn_to_it() -> None:
    torch.manual_seed(0)
    config = two_stream.Config(hidden=8, classes=5, streams="video", spatial=0.5, dropout=0.0)
    assert two_stream.needs(config) == ("proposals", BOXES)
    model, loss, batch = two_stream.Model(config), two_stream.Loss(config), bag_batch()
    outputs = model(batch)
    terms = loss(outputs, batch)
    near = mil.spatial_regulariser(
        outputs.extra["box_hidden"], batch.features[BOXES], outputs.extra["proposals"],
        batch.labels, batch.present["proposals"],
    )  # fmt: skip
    torch.testing.assert_close(terms["spatial"], 0.5 * near / 8)
    torch.testing.assert_close(terms["total"], terms["clip"] + terms["spatial"])


@pytest.mark.parametrize("setting", [{"context": "contrast"}, {"box_scores": 1.0}])
def test_settings_of_boxes_are_refused_without_boxes(setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(UsageError, match=f"^{name} .* is a setting of boxes, and streams audio"):
        two_stream.Config(streams="audio", **setting)


def test_features_are_standardised_on_training_clips(tmp_path: Path) -> None:
    data = open_clips(write_bag_store(tmp_path), ("segments", "proposals"))
    for wanted in (True, False):
        config = two_stream.Config(hidden=8, classes=4, standardise=wanted)
        model = two_stream.Model(config)
        training = begin(model, two_stream.Loss(config), data, config, two_stream.CARD.task)
        two_stream.prepare(training)
        rows = data.rows("train")
        for name in ("segments", "proposals"):
            values = data.features[name][rows][data.present[name][rows]]
            scorer: Any = model.scorers[name]
            fitted = (values - scorer.mean) / scorer.std
            assert (fitted.mean(dim=0).abs().max() < 1e-3) == wanted
            assert ((fitted.std(dim=0) - 1).abs().max() < 1e-2) == wanted


def test_snapshots_of_the_last_epochs_are_averaged() -> None:
    torch.manual_seed(0)
    config = cvssp.Config(channels=4, classes=5, snapshots=3, epochs=5)
    model, batch = cvssp.Model(config), bag_batch(clips=2)
    alone = []
    for epoch in range(1, 6):
        model.train()(dataclasses.replace(batch, progress=epoch / 5))
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.05 * torch.randn_like(weight))
        model.eval()
        frames = (cvssp.on_frames(batch.features["logmel"]) - model.mean) / model.std
        alone.append(model.nets[0](frames)[0])
    expected = torch.stack(alone[-3:]).mean(dim=0)
    torch.testing.assert_close(model(batch).clip, expected)
    copy = cvssp.Model(config)
    copy.load_state_dict(model.state_dict())
    torch.testing.assert_close(copy.eval()(batch).clip, expected)


def test_frames_of_a_clip_are_averages_of_its_log_mel() -> None:
    seconds = torch.arange(10.0)[None, :, None, None].expand(2, 10, 100, 64)
    frames = cvssp.on_frames(seconds)
    assert frames.shape == (2, 240, 64)
    assert frames[0, 0, 0] == 0
    assert frames[0, -1, 0] == 9
    assert frames.mean() == pytest.approx(4.5)


def test_bags_are_those_of_the_store(tmp_path: Path) -> None:
    root = write_bag_store(tmp_path, without_boxes="train01_0_10")
    data = open_clips(root, ("segments", "proposals", "components"))
    assert data.features["segments"].shape == (66, 19, 128)
    assert data.features["proposals"].shape == (66, 20, 2048)
    assert data.features["components"].shape == (66, 6, 128)
    bare = data.keys.index("train01_0_10")
    assert not data.present["proposals"][bare].any()
    assert data.present["proposals"].sum() == 65 * 20
    loud = data.features["segments"].mean(dim=2)
    assert (loud[:, 5:10].min(dim=1).values > loud[:, 10:].max(dim=1).values).all()


def test_store_without_a_table_says_which_extractor_makes_it(tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path)
    with pytest.raises(UsageError, match="run the features job again with extractor ncp"):
        open_clips(root, ("vggish", "components"))


@pytest.mark.parametrize("name", ["two_stream", "ncp_mil"])
def test_few_clips_take_settings_with_which_something_is_learned(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = open_clips(write_bag_store(tmp_path), ("segments",))
    module = registry.load(name)
    with caplog.at_level("INFO"):
        small = module.adapt(module.config(), clips)
    assert "40 training clips are few: learning_rate 0.001, batch_size 8, epochs 60" in caplog.text
    assert (small.learning_rate, small.batch_size, small.epochs) == (1e-3, 8, 60)
    for config in (module.config(small="no"), module.config(learning_rate=1e-4)):
        assert module.adapt(config, clips) == config
    given = module.adapt(module.config(small="yes", epochs=3), clips)
    assert (given.learning_rate, given.epochs) == (1e-3, 3)
    words = said(changed_settings(module.card.experiments[0], small), module.card)
    assert "learning_rate 0.001 (ours 1e-05)" in words
