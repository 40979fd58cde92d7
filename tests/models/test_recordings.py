"""A folder of recordings and labels, from the files to the accuracy of the audio ConvNet."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from models import evaluate, train
from models.data.clips import open_clips
from pipelines.cli import main as beam
from tests.models.commands import refused
from tests.models.recordings import KINDS, write_folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of sound that are easily told apart, ten clips of two seconds each."""
    root = tmp_path_factory.mktemp("sounds")
    media = write_folder(root / "media", clips=10, seconds=2.0, kinds=2)
    given = ["--dataset", "folder", "--media", str(media), "--extractors", "logmel"]
    assert beam(["run", "features", *given, "--out", str(root / "out")]) == 0
    return root / "out"


def test_sound_alone_has_rows_without_picture(store: Path) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    assert manifest["vocabulary"] == list(KINDS)[:2]
    for path in manifest["tables"]["snippets"]:
        rows = pq.read_table(store / path)
        assert rows["logmel"].null_count == 0
        assert rows["resnet152"].null_count == rows["r2plus1d"].null_count == len(rows)
    data = open_clips(store, ("logmel",))
    assert data.features["logmel"].shape == (20, 2, 100, 64)


def test_training_prints_held_out_accuracy(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fayek_audio", "--features", str(store), "--run", str(tmp_path)]
    train.main([*arguments, "--epochs", "14", "--crop-frames", "96"])
    assert "accuracy" in capsys.readouterr().out
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["metrics"]["test"]["accuracy"] >= 0.75
    assert found["features"]["clips"] == {"test": 4, "train": 16}
    evaluate.main(["--run", str(tmp_path)])
    again = json.loads((tmp_path / "evaluation-test.json").read_text())
    assert again["metrics"]["test"]["accuracy"] == found["metrics"]["test"]["accuracy"]


def test_folds_print_mean_accuracy(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fayek_audio", "--features", str(store), "--run", str(tmp_path), "--folds", "2"]
    train.main([*arguments, "--epochs", "1", "--crop-frames", "96"])
    said = capsys.readouterr().out
    assert "Split 'test' over 2 folds" in said
    assert "accuracy" in said
    summary = json.loads((tmp_path / "folds.json").read_text())
    found = [
        json.loads((tmp_path / f"fold-{name}" / "results.json").read_text())["metrics"]["test"]
        for name in ("test", "train")
    ]
    evaluate.main(["--run", str(tmp_path / "fold-train")])
    again = json.loads((tmp_path / "fold-train" / "evaluation-test.json").read_text())
    assert again["metrics"]["test"] == pytest.approx(found[1])
    mean = sum(one["accuracy"] for one in found) / 2
    assert summary["metrics"]["test"]["accuracy"]["mean"] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("fayek_visual", (), "has no feature 'resnet152' in any clip"),
        ("fayek_audio", ("--folds", "1"), "folds must be 0 or at least 2, got 1"),
        ("fayek_audio", ("--folds", "3", "--seeds", "2"), "folds and seeds go one at a time"),
        ("fayek_audio", ("--crop-frames", "20"), "crop_frames must be 0 or at least 96, got 20"),
        ("fayek_audio", ("--precision", "fp16"), "--precision fp16 needs a CUDA device"),
    ],
)
def test_wrong_use_is_one_sentence(
    store: Path, name: str, options: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    given = [name, "--features", str(store), "--run", str(tmp_path), *options]
    assert sentence in refused(train.main, *given)
