"""Fusion of stored scores, where they come from, and the analysis of a run."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import analysis, evaluate, registry, train
from models.applications import class_analysis
from models.contract.batch import Batch
from models.data.clips import ClipData, open_clips
from models.metrics import tagging_scores
from models.nets.tagging import fusion, fusion_inputs
from models.runtime import command_line as cli
from models.tasks import tagging
from models.training.state import begin
from schemas import UsageError
from tests.complaints import refusal
from tests.stores.tagging import CLASSES, write_tagging_store

EXPERIMENTS = sorted(
    name for name, (model, _) in registry.experiments().items() if model == "fusion"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fusion") / "store"
    return write_tagging_store(folder, train=120, val=40, test=60, features=("r2plus1d",))


@pytest.fixture(scope="module")
def singles(store: Path) -> dict[str, Path]:
    """Two finished runs: the audio one is good at the first classes, the visual at the others."""
    data = open_clips(store, ())
    random = np.random.default_rng(0)
    half = len(CLASSES) // 2
    folders = {}
    for side, good in (("audio", slice(0, half)), ("visual", slice(half, None))):
        skill = np.full(len(CLASSES), 0.3)
        skill[good] = 2.0
        logits = (data.labels.float().numpy() - 0.5) * 2 * skill
        logits = logits + random.standard_normal(logits.shape)
        folders[side] = made_run(store.parent / side, data, 1 / (1 + np.exp(-logits)))
    return folders


def made_run(folder: Path, data: ClipData, scores: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tags = {
        split: tagging.Tags(
            rows=data.rows(split), scores=scores[data.rows(split).numpy()].astype(np.float32)
        )
        for split in ("train", "val", "test")
    }
    path = folder / "predictions.parquet"
    tagging.write_tags(path, data, tags.items(), np.full(len(CLASSES), 0.5))
    return folder


def scores_batch(classes: int = 7, clips: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        features={one: torch.rand(clips, 1, classes, generator=generator) for one in fusion.SIDES},
        present={one: torch.ones(clips, 1, dtype=torch.bool) for one in fusion.SIDES},
        labels=(torch.rand(clips, classes, generator=generator) < 0.4).float(),
    )


def net_of(name: str, classes: int = 7) -> tuple[fusion.Config, fusion.Model]:
    config = fusion.Config.from_json({**registry.find(name)[1].settings, "classes": classes})
    torch.manual_seed(0)
    return config, fusion.Model(config)


def linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def test_parameters_at_527_classes_follow_the_paper() -> None:
    c, u = 527, 512
    attend = linear(2 * c, u) + 2 * u + linear(u, c)
    one_side = linear(c, u) + 2 * u + linear(u, c)
    network = linear(c, u) + linear(u, c)
    wanted = {
        "fusion-attention": attend + 3 * network,
        "fusion-self": 2 * one_side + 3 * network,
        "fusion-cross": 2 * one_side + 3 * network,
        "fusion-without-transforms": attend + network,
        "fusion-without-output": attend + 2 * network,
        "fusion-mlp": linear(2 * c, u) + 2 * u + linear(u, c),
        "fusion-regression": linear(2 * c, c),
        "fusion-average": 2,
    }
    found = {
        name: sum(one.numel() for one in net_of(name, c)[1].parameters()) for name in EXPERIMENTS
    }
    assert found == wanted
    units = registry.build("fusion", fused="units", classes=c)
    attend_units = linear(2 * c, u) + 2 * u + linear(u, u)
    assert sum(one.numel() for one in units.parameters()) == (
        attend_units + 2 * linear(c, u) + linear(u, c)
    )


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_scores_are_probabilities_and_every_parameter_learns(name: str) -> None:
    config, net = net_of(name)
    batch = scores_batch()
    outputs = net.train()(batch)
    assert outputs.clip.shape == (6, 7)
    assert ((outputs.clip >= 0) & (outputs.clip <= 1)).all()
    total = fusion.Loss(config)(outputs, batch)["total"]
    if name != "fusion-average":
        total.backward()
        still = [key for key, one in net.named_parameters() if one.grad is None]
        assert still == []
    if "audio_share" in outputs.extra:
        share = outputs.extra["audio_share"]
        assert share.shape == (6, 7)
        assert ((share >= 0) & (share <= 1)).all()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_scores_of_a_modality_that_a_clip_lacks_do_not_count(name: str) -> None:
    _, net = net_of(name)
    batch, lacks = scores_batch(), torch.tensor([True, False] * 3)[:, None]
    present = {**batch.present, "visual": ~lacks}
    spoiled = {**batch.features, "visual": batch.features["visual"] + 5.0 * lacks[..., None]}
    clips = [
        net.eval()(replace(batch, features=features, present=present)).clip
        for features in (batch.features, spoiled)
    ]
    torch.testing.assert_close(*clips)


def test_average_is_the_mean_and_takes_what_there_is() -> None:
    _, net = net_of("fusion-average")
    batch = scores_batch()
    audio, visual = (batch.features[side][:, 0] for side in fusion.SIDES)
    torch.testing.assert_close(net(batch).clip, (audio + visual) / 2)
    batch.present["visual"][0] = False
    torch.testing.assert_close(net(batch).clip[0], audio[0])


def test_attention_weighs_the_transformed_scores_by_equation_5() -> None:
    _, net = net_of("fusion-attention")
    net.eval()
    attend = net.fuse
    assert isinstance(attend, fusion.Attention)
    batch = scores_batch()
    audio, visual = (batch.features[side][:, 0] for side in fusion.SIDES)
    share = attend.attend[0](torch.cat([audio, visual], dim=1))
    mixed = share * attend.transforms[0](audio) + (1 - share) * attend.transforms[1](visual)
    torch.testing.assert_close(net(batch).clip, torch.sigmoid(attend.output(mixed)))


@pytest.mark.parametrize(("name", "crossed"), [("fusion-self", False), ("fusion-cross", True)])
def test_unimodal_attention_looks_at_one_side_each(name: str, crossed: bool) -> None:
    _, net = net_of(name)
    attend = net.eval().fuse
    assert isinstance(attend, fusion.Attention)
    audio, visual = torch.rand(3, 7), torch.rand(3, 7)
    of_audio = attend.attend[0](visual if crossed else audio)
    of_visual = attend.attend[1](audio if crossed else visual)
    share = attend.audio_weight(audio, visual)
    torch.testing.assert_close(share, of_audio / (of_audio + of_visual))


def test_contradicting_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="fused units need transforms and output to be networks"):
        fusion.Config(fused="units", output="identity")
    with pytest.raises(ValueError, match="cross_fit must be 0 or at least 2"):
        fusion.Config(cross_fit=1)


def given(singles: dict[str, Path]) -> dict[str, str]:
    return {f"{side}_run": str(folder) for side, folder in singles.items()}


def test_scores_are_normalised_by_training_clips_alone(
    store: Path, singles: dict[str, Path], tmp_path: Path
) -> None:
    config = fusion.Config(classes=len(CLASSES), **given(singles))  # type: ignore[arg-type]
    data = fusion_inputs.derive(open_clips(store, ()), config, tmp_path)
    data.scores["audio"].write(data.rows("test").numpy(), np.zeros((60, 6), np.float32))
    training = begin(fusion.Model(config), fusion.Loss(config), data, config, fusion.CARD.task)
    fusion.prepare(training)
    assert isinstance(training.model, fusion.Model)
    norm = training.model.norms[0]
    assert isinstance(norm, fusion.ScoreNorm)
    held = torch.from_numpy(data.scores["audio"].read(data.rows("train").numpy()))
    torch.testing.assert_close(norm.mean, held.mean(dim=0))
    torch.testing.assert_close(norm.std, held.std(dim=0, correction=0))


@pytest.mark.parametrize("name", ["fusion-attention", "fusion-mlp", "fusion-average"])
def test_fusion_beats_the_better_model_and_scores_again_alike(
    name: str, store: Path, singles: dict[str, Path], tmp_path: Path
) -> None:
    arguments = [name, "--features", str(store), "--run", str(tmp_path), "--epochs", "15"]
    for side, folder in singles.items():
        arguments += [f"--{side}-run", str(folder)]
    train.main([*arguments, "--batch-size", "32"])
    found = json.loads((tmp_path / "results.json").read_text())["metrics"]["test"]
    data = open_clips(store, ())
    rows = data.rows("test").numpy()
    best = max(
        tagging_scores(
            fusion_inputs.read_scores(folder, data).read(rows), data.labels[rows].numpy() > 0.5
        )["map"]
        for folder in singles.values()
    )
    assert found["map"] > best + 0.03
    report = json.loads((tmp_path / "results.json").read_text())["classes"]["test"]
    for label in data.vocabulary.names:
        single = max(report["audio_ap"][label], report["visual_ap"][label])
        assert report["gain"][label] == pytest.approx(report["ap"][label] - single)
        assert report["gain_low"][label] <= report["gain"][label] <= report["gain_high"][label]
    page = (tmp_path / "report.html").read_text()
    assert all(head in page for head in ("audio_ap", "gain_low", "gain_high"))
    evaluate.main(["--run", str(tmp_path)])
    again = json.loads((tmp_path / "evaluation-test.json").read_text())
    assert again["metrics"]["test"] == pytest.approx(found)


def test_scores_of_another_subset_are_refused_with_both_ids(
    store: Path, singles: dict[str, Path], tmp_path: Path
) -> None:
    other_store = write_tagging_store(tmp_path / "other", prefix="x", features=("r2plus1d",))
    other = open_clips(other_store, ())
    said = refusal(lambda: fusion_inputs.read_scores(singles["audio"], other))
    mine = open_clips(store, ()).manifest.subset_id
    assert f"scores of subset {mine}" in said
    assert f"holds subset {other.manifest.subset_id}" in said
    with pytest.raises(UsageError, match=r"has no predictions\.parquet, so no finished run"):
        fusion_inputs.read_scores(tmp_path, other)
    (tmp_path / "predictions.parquet").write_bytes(b"half")
    with pytest.raises(UsageError, match=r"predictions\.parquet is damaged"):
        fusion_inputs.read_scores(tmp_path, other)


def test_scores_follow_their_clips_into_another_order(
    store: Path, singles: dict[str, Path]
) -> None:
    data = open_clips(store, ())
    rows = np.arange(len(data.keys))
    whole = fusion_inputs.read_scores(singles["audio"], data).read(rows)
    turned = ClipData(**{**vars(data), "keys": data.keys[::-1], "splits": data.splits[::-1]})
    found = fusion_inputs.read_scores(singles["audio"], turned).read(rows)
    np.testing.assert_array_equal(found, whole[::-1])


def test_missing_runs_are_trained_once_and_cross_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_tagging_store(tmp_path / "store", train=24, val=8, test=8)
    trained = []

    def pretend(session: Any, data: ClipData) -> dict[str, Any]:
        trained.append(session.folder)
        held = (data.splits == "train").sum()
        scores = np.full((len(data.keys), len(CLASSES)), held / 100)
        present = [one for one in ("train", "val", "test") if data.has(one)]
        session.folder.mkdir(parents=True, exist_ok=True)
        tags = {
            one: tagging.Tags(rows=data.rows(one), scores=scores[data.rows(one)].astype(np.float32))
            for one in present
        }
        path = session.folder / "predictions.parquet"
        tagging.write_tags(path, data, tags.items(), np.full(len(CLASSES), 0.5))
        (session.folder / "results.json").write_text("{}")
        return {}

    monkeypatch.setattr(fusion_inputs, "train", pretend)
    config = fusion.Config(classes=len(CLASSES), cross_fit=3)
    run = tmp_path / "run"
    data = fusion_inputs.derive(open_clips(store, ()), config, run)
    assert len(trained) == 2 * (1 + 3)
    audio = data.scores["audio"].read(np.arange(len(data.keys)))[:, 0]
    assert audio[data.rows("test")].tolist() == pytest.approx([0.24] * 8)
    assert audio[data.rows("train")].tolist() == pytest.approx([0.16] * 24)
    fusion_inputs.derive(open_clips(store, ()), config, run)
    assert len(trained) == 8


def test_analysis_counts_classes_and_draws_the_figures(
    store: Path, singles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    arguments = ["fusion-attention", "--features", str(store), "--run", str(run), "--epochs", "8"]
    for side, folder in singles.items():
        arguments += [f"--{side}-run", str(folder)]
    train.main([*arguments, "--batch-size", "32"])
    assert cli.run(analysis.main, ["--run", str(run)]) == 0
    out = run / "analysis-test"
    assert {one.name for one in out.iterdir()} == {
        "counts.json", "classes.csv", "ap-by-modality.png", "gain.png", "attention.png"
    }  # fmt: skip
    rows = list(csv.DictReader((out / "classes.csv").open()))
    assert [row["class"] for row in rows] == list(CLASSES)
    better = [row["class"] for row in rows if float(row["visual_ap"]) > float(row["audio_ap"])]
    assert better == list(CLASSES[3:])
    counts = json.loads((out / "counts.json").read_text())
    assert counts["lists"]["visual better than audio"] == better
    assert "117" not in capsys.readouterr().out  # the paper's count is of 527 other classes
    weights = class_analysis.analyse(run, store, "test").audio_weight
    assert weights is not None
    assert [float(row["audio_weight"]) for row in rows] == pytest.approx(weights, abs=1e-6)
    assert ((weights > 0) & (weights < 1)).all()


def test_mean_weight_is_over_the_clips_that_have_the_class() -> None:
    shares = np.array([[0.2, 0.9, 0.5], [0.6, 0.1, 0.5]])
    labels = np.array([[True, False, False], [True, True, False]])
    found = class_analysis.mean_weights(shares, labels)
    assert found[:2] == pytest.approx([0.4, 0.1])
    assert np.isnan(found[2])


def test_analysis_of_another_run_is_refused(tmp_path: Path) -> None:
    facts = {"experiment": "han", "model": "han", "settings": {}, "classes": ["Dog"]}
    (tmp_path / "config.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match="is a run of han; the analysis compares a fusion"):
        class_analysis.analyse(tmp_path, None, "test")
