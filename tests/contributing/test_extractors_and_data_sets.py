"""CONTRIBUTING's steps for an extractor, a data set and a model, done to a copy of the sources.

Nothing else is touched. Plan, features, validate and recipes take the new ones, and a net over the
new feature is trained on the store that they leave, scored again and used on a file of its own.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from schemas import read_store_manifest, tensor_shape, tensor_values
from tests.places import ROOT

TOYS = ROOT / "tests" / "contributing" / "toys"

ENTRIES = """
        Feature(
            extractor="crossings", modality="audio", shape=(2,), default=False,
            about="zero crossings of each half second",
        ),
        Feature(
            extractor="peaks", modality="audio", shape=(4,), default=False, table="peaks",
            column="window", unit="peak", hop_s=None, other_bytes=4,
            columns={"peak_index": _I32, "snippet_index": _I32, "level": _F32},
            about="the loudest sample of each second",
        ),"""
REGISTRY = """
    "crossings": "extractors.crossings:Crossings",
    "peaks": "extractors.peaks:Peaks","""
DATASET = """
    "tones": "schemas.manifests.tones","""
MODEL = """
    "toy_tones": "models.nets.parsing.toy_tones","""
TONES = {
    "a": ("train", 1000), "b": ("train", 50), "c": ("val", 900), "d": ("val", 60),
    "e": ("test", 1100), "f": ("test", 40),
}  # fmt: skip
"""Split and frequency in Hz of each clip."""
BEAM = "from pipelines.cli import main as run\n"
MODELS = """
from models import evaluate, predict, train
from models.runtime import command_line

def run(words):
    return command_line.run(globals()[words[0]].main, words[1:])

"""


def insert_before(path: Path, end: str, text: str) -> None:
    """Put `text` behind the last line before `end`, which occurs once."""
    source = path.read_text()
    assert source.count(end) == 1
    path.write_text(source.replace(end, text + end))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with two extractors, a data set and a net more."""
    root = tmp_path_factory.mktemp("tree")
    for package in ("schemas", "extractors", "models", "pipelines"):
        shutil.copytree(
            ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("crossings", "peaks"):
        shutil.copy(TOYS / f"{name}.py", root / "extractors")
    insert_before(root / "schemas/features.py", '\n    )\n}  # fmt: skip\n"""Every', ENTRIES)
    insert_before(root / "extractors/registry.py", "\n}\n", REGISTRY)
    shutil.copy(TOYS / "tones.py", root / "schemas/manifests")
    insert_before(root / "schemas/manifests/__init__.py", '\n}\n"""Every data set', DATASET)
    shutil.copy(TOYS / "toy_tones.py", root / "models/nets/parsing")
    insert_before(root / "models/registry.py", "\n}\n", MODEL)
    return root


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones of two seconds, and their list."""
    folder = tmp_path_factory.mktemp("tones")
    lines = []
    for name, (split, hertz) in TONES.items():
        lines.append(f"{name} {split} {'high' if hertz > 500 else 'low'}\n")
        time = np.arange(32_000) / 16_000
        samples = (np.sin(2 * np.pi * hertz * time + 0.1) * 20_000).astype("<i2")
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    (folder / "tones.txt").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def done(
    tree: Path, media: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The store that plan, features and validate of the changed sources leave, and their words."""
    out = tmp_path_factory.mktemp("store") / "out"
    extractors = "crossings,peaks,logmel"
    commands: list[list[object]] = [
        ["plan", "--dataset", "tones", "--annotations", media, "--extractors", extractors],
        ["run", "features", "--dataset", "tones", "--annotations", media, "--media", media,
         "--extractors", extractors, "--weights", "seeded", "--out", out],
        ["validate", out],
        ["recipes"],
    ]  # fmt: skip
    return out, run_in(tree, BEAM, commands)


def run_in(
    tree: Path, imports: str, commands: Sequence[Sequence[object]]
) -> subprocess.CompletedProcess[str]:
    """Give `run` of some imports each command, in one process; it prints every status."""
    code = (
        f"import ast, sys\n{imports}print('ended', [run(c) for c in ast.literal_eval(sys.argv[1])])"
    )
    words = repr([[str(word) for word in command] for command in commands])
    return subprocess.run(
        [sys.executable, "-c", code, words], cwd=tree, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )  # fmt: skip


def test_commands_take_the_new_extractors_and_data_set(
    done: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, said = done
    assert "ended [0, 0, 0, 0]" in said.stdout, said.stderr[-2000:]
    assert "peaks" in said.stdout.split("features")[0]  # its bytes in the plan
    assert "clean; 6 clips in, 6 done" in said.stdout
    assert "the loudest sample of each second" in said.stdout


def test_new_column_stands_beside_the_others(
    done: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    manifest = read_store_manifest(done[0])
    assert manifest.vocabulary == ("high", "low")
    (path,) = manifest.paths("snippets")
    table = pq.read_table(path).sort_by([("clip_key", "ascending"), ("snippet_index", "ascending")])
    shape = tensor_shape(table.schema.field("crossings"))
    assert shape == (2,)
    values, present = tensor_values(table["crossings"].combine_chunks(), shape)
    assert present.all()
    hertz = [hertz for _, hertz in TONES.values()]
    np.testing.assert_allclose(values, np.repeat(hertz, 4).reshape(12, 2), atol=1)
    assert table["logmel"].null_count == 0
    assert table["vggish"].null_count == 12


def test_new_table_stands_beside_the_others(
    done: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    manifest = read_store_manifest(done[0])
    assert manifest.data["counts"]["rows"]["peaks"] == 12
    (path,) = manifest.paths("peaks")
    table = pq.read_table(path)
    assert table.schema.names == ["clip_key", "peak_index", "snippet_index", "level", "window"]
    values, _ = tensor_values(table["window"].combine_chunks(), (4,))
    np.testing.assert_allclose(np.abs(values).max(axis=1), 20_000 / 32_768, atol=2e-2)


def test_net_over_the_new_feature_is_trained_scored_again_and_used(
    done: tuple[Path, subprocess.CompletedProcess[str]], tree: Path, media: Path, tmp_path: Path
) -> None:
    folder, events = tmp_path / "run", tmp_path / "events"
    training = ["--epochs", 60, "--learning-rate", 0.2, "--device", "cpu"]
    commands: list[list[object]] = [
        ["train", "toy_tones", "--features", done[0], "--run", folder, *training],
        ["evaluate", "--run", folder],
        ["predict", media / "e.wav", media / "f.wav", "--run", folder, "--out", events],
    ]
    said = run_in(tree, MODELS, commands)
    assert "ended [0, 0, 0]" in said.stdout, said.stderr[-2000:]
    scores = json.loads((folder / "results.json").read_text())["metrics"]["test"]
    assert scores["segment_audio"] == 100
    again = json.loads((folder / "evaluation-test.json").read_text())
    assert again["metrics"]["test"] == pytest.approx(scores)
    with (events / "events.csv").open(newline="") as file:
        rows = [
            (row["clip_key"], row["label"], float(row["offset"])) for row in csv.DictReader(file)
        ]
    assert rows == [("e", "high", 2.0), ("f", "low", 2.0)]
