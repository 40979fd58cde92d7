"""What keeps a number from standing beside the paper's: all experiments, and each cause."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import registry
from models.data.clips import ClipData
from models.training.caveats import caveats
from schemas import RECIPES, StoreManifest, Vocabulary
from schemas.features import DEFAULT_EXTRACTORS

OF_A_KIND: dict[str, tuple[str, ...]] = {
    "talnet": ("front end",),
    "coleaf": ("structure",),
    "cmcs": ("structure",),
    "ave": ("structure",),
    "han-max": ("structure",),
    "han-mean": ("structure",),
    "han-gru": ("structure",),
    "han-bootstrap": ("loss",),
    "han-bootstrap-hard": ("loss",),
    "avg-multi": ("pre-training set",),
    "avg-uni": ("pre-training set",),
    "avg-cross": ("pre-training set",),
    "valor++": ("input",),
    "uwav": ("pseudo labels",),
    "uwav-binary": ("pseudo labels",),
    "uwav-soft": ("pseudo labels",),
    "uwav-reweight": ("pseudo labels",),
    "uwav-mixup": ("pseudo labels",),
    "two_stream": ("trunk", "edges"),
    "two_stream-video": ("trunk", "edges"),
    "two_stream-wsddn": ("trunk", "edges", "regions"),
    "two_stream-one": ("trunk", "edges"),
    "two_stream-context": ("trunk", "edges"),
    "wsddn": ("trunk", "edges", "regions"),
    "ncp_mil": ("system", "trunk", "edges"),
    "ncp_mil-audio": ("system",),
    "ncp_mil-temporal": ("system",),
    "cvssp": ("front end",),
    "cvssp-fusion": ("front end", "system"),
    "fayek_visual": ("front end",),
    "audio_resnet50": ("front end and training",),
    "r2plus1d_101": ("frames", "optimiser"),
    "r2plus1d_101-probe": ("trunk",),
    "g_blend": ("front end", "frames", "optimiser"),
    "g_blend-online": ("front end", "frames", "optimiser"),
    "g_blend-published": ("front end", "frames", "optimiser"),
    "g_blend-probe": ("trunk", "front end"),
}
"""Caveats of each experiment with pretrained weights on all of the paper's data."""
FUSIONS = [name for name, (model, _) in registry.experiments().items() if model == "fusion"]
SPLITS = {"audioset": ("unbalanced_train", "eval")}


def papers_data(
    root: Path, dataset: str, shares: dict[str, tuple[int, int]] | None = None, **recipe: Any
) -> ClipData:
    """Return clips of a data set; `shares` has clips and those present of each of its splits."""
    names = SPLITS.get(dataset, ("train", "test"))
    held = shares or dict.fromkeys(names, (1000, 1000))
    counted = {
        split: {"clips": clips, "present": present, "missing": {}}
        for split, (clips, present) in held.items()
    }
    coverage = {"subset_id": "abc", "date": "2026-11-27T00:00:00", "splits": counted}
    (root / "coverage.json").write_text(json.dumps(coverage))
    extractors = (*DEFAULT_EXTRACTORS, "ncp")
    made = RECIPES["llp-eccv20"].with_(**{"extractors": extractors, **recipe})
    facts = {
        "dataset": dataset, "subset_id": "abc", "recipe": made.to_json(),
        "pseudo_labels": {"weights": "pretrained"},
    }  # fmt: skip
    return ClipData(
        manifest=StoreManifest(root, facts), keys=("a", "b", "c"),
        splits=np.array(["train", "val", "test"]), vocabulary=Vocabulary(("Dog", "Cat")),
        seconds=1, labels=torch.zeros(3, 2), features={}, present={},
    )  # fmt: skip


def found(
    name: str, data: ClipData, settings: dict[str, Any] | None = None, **more: Any
) -> list[str]:
    model, experiment = registry.find(name)
    method = registry.load(model)
    config = method.config.from_json({**experiment.settings, **(settings or {})})
    return caveats(data, method.card, experiment, config, **more)


@pytest.mark.parametrize("name", [name for name in registry.experiments() if name not in FUSIONS])
def test_caveats_of_every_experiment_on_the_papers_data(name: str, tmp_path: Path) -> None:
    card = registry.load(registry.find(name)[0]).card
    said = found(name, papers_data(tmp_path, card.dataset))
    assert tuple(one.split(":")[0] for one in said) == OF_A_KIND.get(name, ())


@pytest.mark.parametrize("name", FUSIONS)
def test_fusion_inherits_the_caveats_of_its_runs(name: str, tmp_path: Path) -> None:
    data = papers_data(tmp_path, "audioset")
    for side, own in (("audio", []), ("visual", ["front end: 80 frames"])):
        (tmp_path / side).mkdir()
        (tmp_path / side / "results.json").write_text(json.dumps({"caveats": own}))
    fused = {side: tmp_path / side for side in ("audio", "visual")}
    assert found(name, data, fused=fused) == ["the visual run: front end: 80 frames"]
    (tmp_path / "audio" / "results.json").unlink()
    assert found(name, data, fused=fused)[0] == (
        "the audio scores come from a run that says nothing of itself"
    )


def test_structured_edges_are_the_papers(tmp_path: Path) -> None:
    data = papers_data(tmp_path, "dcase2017", proposals_edges="structured")
    assert [one.split(":")[0] for one in found("two_stream", data)] == ["trunk"]


def test_components_over_the_loudest_windows_are_not_the_papers(tmp_path: Path) -> None:
    data = papers_data(tmp_path, "dcase2017", ncp_windows="loudest")
    kinds = [one.split(":")[0] for one in found("ncp_mil-audio", data)]
    assert kinds == ["system", "components"]


def test_net_on_frames_and_a_changed_stream_change_the_caveats(tmp_path: Path) -> None:
    said = found("two_stream", papers_data(tmp_path, "dcase2017"), {"streams": "audio"})
    assert said == ["settings differ from the experiment's: streams 'audio' (paper 'av')"]


def test_settings_that_no_paper_states_are_called_ours(tmp_path: Path) -> None:
    changes = {"learning_rate": 0.1, "dropout": 0.1, "precision": "fp32"}
    (said,) = found(
        "fayek_audio",
        papers_data(tmp_path, "audioset"),
        {"epochs": 3, **{name: value for name, value in changes.items() if name != "dropout"}},
    )
    assert "epochs 3 (ours 60)" in said
    assert "learning_rate 0.1 (ours 0.001)" in said
    assert "precision 'fp32' (ours 'auto')" in said
    *_, said = found("fayek_visual", papers_data(tmp_path, "audioset"), {"epochs": 3})
    assert said.endswith("epochs 3 (paper 20)")


@pytest.mark.parametrize(("present", "word"), [((1000, 3), "test"), ((949, 1000), "training")])
def test_few_clips_are_a_caveat(tmp_path: Path, present: tuple[int, int], word: str) -> None:
    shares = {name: (1000, there) for name, there in zip(("train", "test"), present, strict=True)}
    (said,) = found("han", papers_data(tmp_path, "llp", shares))
    assert said.startswith(f"{min(present)} of the 1,000 {word} clips are there")
    enough = dict.fromkeys(("train", "test"), (1000, 950))
    assert found("han", papers_data(tmp_path, "llp", enough)) == []
    (tmp_path / "coverage.json").unlink()
    data = papers_data(tmp_path, "llp")
    (tmp_path / "coverage.json").unlink()
    assert found("han", data) == ["nobody has counted how many of the data set's clips are there"]


def test_balanced_clips_are_not_in_the_training_set_of_fayek_and_kumar(tmp_path: Path) -> None:
    shares = dict.fromkeys(("balanced_train", "unbalanced_train", "eval"), (1000, 1000))
    said = found("fayek_audio", papers_data(tmp_path, "audioset", shares))
    assert said == [
        "split balanced_train is trained on too, the paper trains on unbalanced_train alone"
    ]


def test_folds_and_thresholds_tuned_on_training_clips_are_caveats(tmp_path: Path) -> None:
    data = papers_data(tmp_path, "dcase2017")
    (said,) = found("two_stream-audio", data, fold=(5, "2"))
    assert said == "the test clips are fold 2 of 5, not the data set's own"
    without = replace(data, splits=np.array(["train", "train", "test"]))
    (said,) = found("two_stream-audio", without)
    assert said == "there are no validation clips, so thresholds are tuned on training clips"


def test_random_weights_and_another_data_set_come_first(tmp_path: Path) -> None:
    said = found("han", papers_data(tmp_path, "demo", weights="seeded:0"))
    assert said == [
        "the features come from random weights (seeded:0)",
        "the data set is demo, the paper's is llp",
    ]


@pytest.mark.parametrize(("name", "said"), [("han", True), ("two_stream", True), ("cvssp", False)])
def test_fewer_frames_than_the_papers_are_a_caveat_of_nets_that_see(
    name: str, said: bool, tmp_path: Path
) -> None:
    data = papers_data(tmp_path, "demo")
    quick = {**data.manifest.data, "recipe": RECIPES["quick"].to_json()}
    found_on = found(name, replace(data, manifest=replace(data.manifest, data=quick)))
    sentence = "the recipe quick takes frames at 1 a second, the papers' at 8"
    assert (sentence in found_on) is said
    assert sentence not in found(name, data)


@pytest.mark.parametrize(("edition", "reasons"), [("corrected", 1), ("first", 0), ("", 0)])
def test_edition_of_the_truth_is_compared_with_the_papers(
    tmp_path: Path, edition: str, reasons: int
) -> None:
    data = replace(papers_data(tmp_path, "llp"), truth_edition=edition)
    said = found("han", data)
    assert len(said) == reasons
    assert all(one.startswith("the truth of the audio is LLP's corrected") for one in said)
    assert found("uwav", data)[0].startswith("pseudo labels")  # nobody says which one it had
    assert data.scored_subset == ("abc-first-truth" if edition == "first" else "abc")
