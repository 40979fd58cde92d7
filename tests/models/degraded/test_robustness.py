"""Curves of a fusion and its single nets when sound or picture is worse, or not there."""

import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from models import evaluate, robustness, train
from models.applications.new_media import open_run
from models.data.clips import ClipData
from models.degraded import scores
from models.degraded.figure import robustness_figure
from schemas import UsageError
from tests.models.commands import refused, run_command
from tests.stores.tagging import CLASSES, write_tagging_store
from tests.stores.writer import RECIPE

FEATURES = ("resnet152", "logmel")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("robust") / "store"
    return write_tagging_store(root, train=48, val=8, test=24, features=FEATURES)


@pytest.fixture(scope="module")
def noisy(store: Path) -> Path:
    """The same clips under so much noise that nothing can be told."""
    recipe = RECIPE.with_(degrade="noise:-5")
    return write_tagging_store(
        store.parent / "noisy", train=48, val=8, test=24, features=FEATURES, noise=50.0,
        recipe=recipe,
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(store: Path) -> dict[str, Path]:
    folder = store.parent
    common = ("--features", store, "--run")
    visual = ("fayek_visual", *common, folder / "visual", "--epochs", 4)
    audio = ("fayek_audio", *common, folder / "audio", "--epochs", 2, "--stages", 1)
    parts = ("--audio-run", folder / "audio", "--visual-run", folder / "visual")
    fused = ("fusion-average", *common, folder / "fusion", *parts)
    for words in (visual, audio, fused):
        train.main(list(map(str, words)))
    return {name: folder / name for name in ("visual", "audio", "fusion")}


def test_one_command_draws_every_run_over_every_degradation(
    runs: dict[str, Path], noisy: Path, tmp_path: Path
) -> None:
    given = ("--run", *runs.values(), "--degraded", noisy, "--out", tmp_path)
    assert run_command(robustness.main, *given).returncode == 0
    points = json.loads((tmp_path / "robustness.json").read_text())["points"]
    found = {(one["run"], one["degradation"], one["level"]): one for one in points}
    for run, kinds in {
        "fayek_visual": {"no video", "dropped", "noise"},
        "fayek_audio": {"no audio", "noise"},
        "fusion": {"no audio", "no video", "dropped", "noise"},
    }.items():
        assert {kind for name, kind, _ in found if name == run} == kinds
    written = json.loads((runs["fusion"] / "results.json").read_text())["metrics"]["test"]
    for kind in ("no audio", "no video", "dropped"):
        assert found["fusion", kind, 0.0]["map"] == pytest.approx(written["map"], abs=1e-5)
    assert found["fusion", "noise", "clean"]["map"] == pytest.approx(written["map"], abs=1e-5)
    assert found["fayek_visual", "no video", 1.0]["mauc"] == 0.5  # every clip scores alike
    assert found["fusion", "no audio", 1.0]["mauc"] == pytest.approx(
        found["fayek_visual", "no video", 0.0]["mauc"]
    )
    assert found["fusion", "noise", -5.0]["mauc"] < found["fusion", "noise", "clean"]["mauc"]
    with (tmp_path / "robustness.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(points)
    assert (tmp_path / "robustness.png").stat().st_size > 5000


def test_a_run_has_one_colour_in_every_panel_and_the_legend_names_all() -> None:
    given = (("audio", "no audio", 0.9), ("both", "no audio", 1.0), ("visual", "no video", 0.4),
             ("both", "no video", 0.8))  # fmt: skip
    points = [
        scores.Point(run=run, kind=kind, level=level, scores={"map": value})
        for run, kind, value in given for level in (0.0, 1.0)
    ]  # fmt: skip
    drawn = robustness_figure(points, "data set demo")
    colours: dict[object, set[object]] = defaultdict(set)
    for ax in drawn.axes:
        for line in ax.lines:
            colours[line.get_label()].add(line.get_color())
    assert all(len(each) == 1 for each in colours.values())
    assert len(set.union(*colours.values())) == 3
    legend = drawn.axes[0].get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == set(colours)
    assert max(drawn.axes[0].get_ylim()) > 100


def test_missing_seconds_are_zero_and_marked(runs: dict[str, Path], store: Path) -> None:
    data = scores.open_split(open_run(runs["fusion"]), store, "test")
    assert isinstance(data, ClipData)
    half = scores.without_seconds(data, 0.5, seed=0)
    there = half.present["resnet152"]
    assert there.sum(dim=1).tolist() == [1] * 24
    assert torch.equal(half.features["resnet152"][there], data.features["resnet152"][there])
    assert not half.features["resnet152"][~there].any()
    assert torch.equal(half.features["logmel"], data.features["logmel"])
    lacking = scores.without_modality(data, "audio", 0.25, seed=0)
    assert isinstance(lacking, ClipData)
    assert lacking.having("logmel").sum() == 18
    assert lacking.having("resnet152").all()


def test_wrong_stores_and_runs_are_one_sentence(
    runs: dict[str, Path], store: Path, parsing_run: Path, tmp_path: Path
) -> None:
    given = ("--run", runs["visual"], "--out", tmp_path)
    assert "features of media as they are" in refused(robustness.main, *given, "--degraded", store)
    other = write_tagging_store(
        tmp_path / "other", train=8, val=4, test=4, features=FEATURES,
        recipe=RECIPE.with_(degrade="blur:2"),
    )  # fmt: skip
    says = refused(robustness.main, *given, "--degraded", other)
    assert "holds other clips than the clean store: it lacks 24 of 24, such as" in says
    clean = scores.open_split(open_run(runs["visual"]), store, "test")
    assert scores.alike(clean, clean.keys[3:5], store).keys == clean.keys[3:5]
    with pytest.raises(UsageError, match="lacks 1 of 2, such as none"):
        scores.alike(clean, ("none", clean.keys[0]), store)
    assert "give runs that tag clips" in refused(robustness.main, "--run", parsing_run)
    assert "say which runs" in refused(robustness.main)


def test_scores_on_degraded_media_carry_a_caveat(runs: dict[str, Path], noisy: Path) -> None:
    evaluate.main(["--run", str(runs["visual"]), "--features", str(noisy)])
    found = json.loads((runs["visual"] / "evaluation-test.json").read_text())
    assert "the media were made worse on purpose (noise:-5)" in found["caveats"]
    assert len(CLASSES) == len(found["classes"]["test"]["ap"])
    assert np.isfinite(found["metrics"]["test"]["map"])
