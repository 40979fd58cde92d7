"""A folder of recordings and labels, from the files to the accuracy of the audio ConvNet."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from models import evaluate, train
from models.data import splits
from models.data.clips import open_clips
from pipelines.cli import main as beam
from tests.models.commands import refused, run_command
from tests.models.recordings import KINDS, write_folder
from tests.stores.sound_archives import write_esc, write_urbansound


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
        ("fayek_audio", ("--folds", "3", "--subset", "s.txt"), "folds and subset go one at a time"),
        ("fayek_audio", ("--crop-frames", "20"), "crop_frames must be 0 or at least 96, got 20"),
        ("fayek_audio", ("--precision", "fp16"), "--precision fp16 needs a CUDA device"),
    ],
)
def test_wrong_use_is_one_sentence(
    store: Path, name: str, options: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    given = [name, "--features", str(store), "--run", str(tmp_path), *options]
    assert sentence in refused(train.main, *given)


@pytest.fixture(scope="module")
def esc10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds in the form of ESC-10: five folds of four clips."""
    root = tmp_path_factory.mktemp("esc")
    media = write_esc(root / "ESC-50-master", clips=10, seconds=2.0, kinds=2)
    given = ["--dataset", "esc10", "--media", str(media), "--extractors", "logmel"]
    assert beam(["run", "features", *given, "--out", str(root / "out")]) == 0
    return root / "out"


def test_archive_of_esc_is_read_as_it_comes(esc10: Path) -> None:
    data = open_clips(esc10, ("logmel",))
    assert data.vocabulary.names == tuple(KINDS)[:2]
    assert sorted(data.splits.tolist()) == sorted("12345" * 4)
    assert bool(data.present["logmel"].all())


def test_archive_of_urbansound_is_read_as_it_comes(tmp_path: Path) -> None:
    media = write_urbansound(tmp_path / "UrbanSound8K", clips=10)
    given = ["--dataset", "urbansound8k", "--media", str(media), "--extractors", "logmel"]
    assert beam(["run", "features", *given, "--out", str(tmp_path / "out")]) == 0
    data = open_clips(tmp_path / "out", ("logmel",))
    assert len(dict(splits.folds(data, 10))) == 10
    assert bool(data.present["logmel"].all())


def test_one_fold_is_tested_by_a_net_that_has_not_heard_it(esc10: Path, tmp_path: Path) -> None:
    given = ("fayek_audio", "--features", esc10, "--run", tmp_path, "--folds", 5, "--fold", 3)
    more = ("--epochs", 1, "--width", 4, "--crop-frames", 96, "--time-shift", 0.5)
    assert run_command(train.main, *given, *more).returncode == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["fold-3"]
    found = json.loads((tmp_path / "fold-3" / "results.json").read_text())
    assert found["features"]["clips"] == {"test": 4, "train": 16}
    rows = pq.read_table(tmp_path / "fold-3" / "predictions.parquet").to_pylist()
    tested = {row["clip_key"][0] for row in rows if row["split"] == "test"}
    trained = {row["clip_key"][0] for row in rows if row["split"] == "train"}
    assert (tested, trained) == ({"3"}, {"1", "2", "4", "5"})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--fold", "3"), "fold names one of the folds, so say how many there are: --folds 5"),
        (("--folds", "5", "--fold", "6"), "has no fold '6'; its folds are 1, 2, 3, 4, 5"),
    ],
)
def test_folds_that_there_are_not(
    esc10: Path, words: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    said = refused(train.main, "fayek_audio", "--features", esc10, "--run", tmp_path, *words)
    assert sentence in said
