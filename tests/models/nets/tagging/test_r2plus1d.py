"""R(2+1)D on pixels: its structure against the authors', and a training from stored frames."""

import csv
import json
from pathlib import Path

import pytest
import torch

from models import evaluate, predict, registry, train
from models.contract.batch import Batch
from models.nets.tagging.r2plus1d import BLOCKS, R2Plus1D, mean_over_views
from tests.stores.tagging import write_tagging_store

GOLDEN = json.loads((Path(__file__).parents[3] / "golden" / "r2plus1d.json").read_text())
TINY = ("--depth", 18, "--width", 8, "--side", 32, "--clip-frames", 4, "--views", 2, "--workers", 0)
"""A net that a CPU trains within seconds."""


def parameters(net: torch.nn.Module) -> int:
    return sum(one.numel() for one in net.parameters())


def by_arithmetic(depth: int) -> int:
    """Weights of the trunk by the paper's formula, from channels alone."""

    def factored(i: int, o: int) -> int:
        m = 27 * i * o // (9 * i + 3 * o)
        return 9 * i * m + 3 * m * o + 2 * m + 2 * o

    total, inputs = 147 * 45 + 2 * 45 + 3 * 45 * 64 + 2 * 64, 64
    for stage, count in enumerate(BLOCKS[depth]):
        planes = 64 * 2**stage
        for block in range(count):
            outputs = planes if depth < 50 else 4 * planes
            if depth < 50:
                total += factored(inputs, planes) + factored(planes, planes)
            else:
                total += inputs * planes + 2 * planes + factored(planes, planes)
                total += planes * outputs + 2 * outputs
            if inputs != outputs or (stage and not block):
                total += inputs * outputs + 2 * outputs
            inputs = outputs
    return total


@pytest.mark.parametrize("depth", sorted(BLOCKS))
def test_parameters_are_those_of_the_formula_and_of_the_golden_file(depth: int) -> None:
    with torch.device("meta"):
        count = parameters(R2Plus1D(depth))
    assert count == by_arithmetic(depth) == GOLDEN["trunks"][str(depth)]


@pytest.mark.parametrize("name", ["r2plus1d_101", "g_blend"])
def test_nets_of_the_papers_rows_have_the_golden_size(name: str) -> None:
    with torch.device("meta"):
        count = parameters(registry.build(name, classes=527))
    assert count == GOLDEN["nets"][name]


def test_middles_and_maps_of_depth_101_are_the_authors() -> None:
    with torch.device("meta"):
        net = R2Plus1D(101).eval()
        middles = [
            [
                one.out_channels
                for one in stage.modules()
                if isinstance(one, torch.nn.Conv3d) and one.kernel_size == (1, 3, 3)
            ]
            for stage in net.stages
        ]
        assert [sorted(set(stage)) for stage in middles] == GOLDEN["middles"]
        assert [len(stage) for stage in middles] == [3, 4, 23, 3]
        maps = net.stem(torch.zeros(1, 3, 16, 224, 224))
        sizes = [list(maps.shape[1:])]
        for stage in net.stages:
            maps = stage(maps)
            sizes.append(list(maps.shape[1:]))
    assert sizes == GOLDEN["maps"]
    assert net.outputs == 2048


def test_frames_are_normalised_by_colour_and_time_matters() -> None:
    torch.manual_seed(0)
    net = R2Plus1D(18, 4).eval()
    frames = torch.randint(0, 256, (1, 8, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        assert not torch.allclose(net(frames), net(frames.flip(1)), atol=1e-4)
        torch.testing.assert_close(net(frames), net(frames.float()))
        mean = net.mean[:, 0, 0, 0].expand(1, 8, 32, 32, 3)
        assert net.stem[0]((mean.permute(0, 4, 1, 2, 3) - net.mean) / net.std).abs().max() < 1e-5


def test_views_that_are_there_are_averaged() -> None:
    scores = [torch.tensor([[0.2], [0.4], [0.1]]), torch.tensor([[0.6], [0.8], [0.3]])]
    there = torch.tensor([[True, True], [False, True], [False, False]])
    found = mean_over_views(scores, there)[:, 0]
    torch.testing.assert_close(found, torch.tensor([0.4, 0.8, 0.2]))


def test_more_views_of_the_same_frames_change_nothing() -> None:
    torch.manual_seed(0)
    net = registry.build("r2plus1d_101", depth=18, width=4, classes=3).eval()
    view = torch.randint(0, 256, (2, 1, 4, 32, 32, 3), dtype=torch.uint8)

    def scores(views: int) -> torch.Tensor:
        present = {"frames": torch.ones(2, views, dtype=torch.bool)}
        features = {"frames": view.expand(2, views, 4, 32, 32, 3)}
        with torch.no_grad():
            return net(Batch(features=features, present=present, labels=torch.zeros(2, 3))).clip

    torch.testing.assert_close(scores(3), scores(1))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny net trained from stored frames."""
    folder = tmp_path_factory.mktemp("pixels")
    write_tagging_store(
        folder / "store", train=40, val=12, test=12, seconds=1, features=(), frames=True
    )
    given = ("r2plus1d_101", "--features", folder / "store", "--run", folder / "run", *TINY)
    rates = ("--epochs", 12, "--batch-size", 8, "--learning-rate", 0.003, "--dropout", 0)
    train.main([str(word) for word in (*given, *rates)])
    return folder / "run"


def test_training_on_pixels_learns_and_is_scored_again(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    history = results["history"]
    assert history[-1]["total"] < 0.7 * history[0]["total"]
    assert results["metrics"]["test"]["map"] > 0.6
    assert any(one.startswith("frames: the recipe's eight") for one in results["caveats"])
    evaluate.main(["--run", str(run)])
    again = json.loads((run / "evaluation-test.json").read_text())
    assert again["metrics"]["test"] == pytest.approx(results["metrics"]["test"], rel=1e-4)


def test_run_on_pixels_tags_media(run: Path, film: Path, tmp_path: Path) -> None:
    predict.main(["--run", str(run), str(film), "--out", str(tmp_path)])
    with (tmp_path / "tags.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["clip_key"] for row in rows} == {"film"}
    assert len(rows) == 6
    assert all(0 <= float(row["score"]) <= 1 for row in rows)
