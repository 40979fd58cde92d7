"""CONTRIBUTING's steps for an extractor and for a data set, done to a copy of the sources.

Nothing else is touched, and plan, features, validate and the trainer's needs work with the new one.
"""

import os
import shutil
import subprocess
import sys
import wave
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


def insert_before(path: Path, end: str, text: str) -> None:
    """Put `text` behind the last line before `end`, which occurs once."""
    source = path.read_text()
    assert source.count(end) == 1
    path.write_text(source.replace(end, text + end))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with two extractors and a data set more."""
    root = tmp_path_factory.mktemp("tree")
    for package in ("schemas", "extractors", "pipelines"):
        shutil.copytree(
            ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("crossings", "peaks"):
        shutil.copy(TOYS / f"{name}.py", root / "extractors")
    insert_before(root / "schemas/features.py", '\n    )\n}  # fmt: skip\n"""Every', ENTRIES)
    insert_before(root / "extractors/registry.py", "\n}\n", REGISTRY)
    shutil.copy(TOYS / "tones.py", root / "schemas/manifests")
    insert_before(root / "schemas/manifests/__init__.py", '\n}\n"""Every data set', DATASET)
    return root


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tones of two seconds, and their list."""
    folder = tmp_path_factory.mktemp("tones")
    for name, hertz in (("a", 1000), ("b", 50)):
        time = np.arange(32_000) / 16_000
        samples = (np.sin(2 * np.pi * hertz * time + 0.1) * 20_000).astype("<i2")
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    (folder / "tones.txt").write_text("a train high\nb test low\n")
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
    code = (
        "import ast, sys\n"
        "from pipelines.cli import main\n"
        "print('ended', [main(words) for words in ast.literal_eval(sys.argv[1])])\n"
    )
    words = repr([[str(word) for word in command] for command in commands])
    said = subprocess.run(
        [sys.executable, "-c", code, words], cwd=tree, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )  # fmt: skip
    return out, said


def test_commands_take_the_new_extractors_and_data_set(
    done: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, said = done
    assert "ended [0, 0, 0, 0]" in said.stdout, said.stderr[-2000:]
    assert "peaks" in said.stdout.split("features")[0]  # its bytes in the plan
    assert "clean; 2 clips in, 2 done" in said.stdout
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
    np.testing.assert_allclose(values, np.repeat([1000, 50], 4).reshape(4, 2), atol=1)
    assert table["logmel"].null_count == 0
    assert table["vggish"].null_count == 4


def test_new_table_stands_beside_the_others(
    done: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    manifest = read_store_manifest(done[0])
    assert manifest.data["counts"]["rows"]["peaks"] == 4
    (path,) = manifest.paths("peaks")
    table = pq.read_table(path)
    assert table.schema.names == ["clip_key", "peak_index", "snippet_index", "level", "window"]
    values, _ = tensor_values(table["window"].combine_chunks(), (4,))
    np.testing.assert_allclose(np.abs(values).max(axis=1), 20_000 / 32_768, atol=2e-2)
