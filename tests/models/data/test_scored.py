"""Scores of other nets as features: in memory or in a file, whole or some clips at a time."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from models import train
from models.data import scored
from models.data.clips import open_clips
from models.data.scored import ScoreTable
from models.nets.tagging import fusion, fusion_inputs
from models.tasks import tagging
from models.training import session
from tests.stores.tagging import CLASSES, write_tagging_store

FEW = 7
"""Clips at once, so that no split of the store is one whole."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, and beside it two folders with scores of its clips."""
    root = tmp_path_factory.mktemp("scored")
    store = write_tagging_store(root / "store", train=90, features=("r2plus1d",), seconds=1)
    data = open_clips(store, ())
    random = np.random.default_rng(0)
    for side in fusion.SIDES:
        (root / side).mkdir()
        scores = random.random((len(data.keys), len(CLASSES)), np.float32)
        tags = (
            (split, tagging.Tags(rows=rows, scores=scores[rows.numpy()]))
            for split in ("test", "train", "val")
            for rows in data.rows(split).split(40)  # type: ignore[no-untyped-call]
        )
        path = root / side / "predictions.parquet"
        tagging.write_tags(path, data, tags, np.full(len(CLASSES), 0.5))
    return store


def in_pieces(patch: pytest.MonkeyPatch) -> None:
    """Have scores in files, and a few clips at once everywhere."""
    patch.setattr(scored, "HELD_BYTES", 0)
    patch.setattr(session, "PREDICTED_AT_ONCE", FEW)
    for module in (scored, fusion_inputs):
        patch.setattr(module, "AT_ONCE", FEW)


def test_table_in_a_file_is_the_one_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    held = ScoreTable(50, 6)
    monkeypatch.setattr(scored, "HELD_BYTES", 0)
    filed = ScoreTable(50, 6)
    for _ in range(8):
        rows = random.permutation(50)[: random.integers(0, 30)]
        values = random.random((len(rows), 6), np.float32)
        for table in (held, filed):
            table.write(rows, values)
    for rows in (np.arange(50), random.permutation(50), np.arange(0), np.array([3, 3, 4, 2])):
        np.testing.assert_array_equal(filed.read(rows), held.read(rows))


def test_statistics_of_parts_are_those_of_the_whole() -> None:
    scores = torch.rand(100, 6, generator=torch.Generator().manual_seed(1)) ** 3
    scores[:, 4] = 0.25
    norm = fusion.ScoreNorm(6)
    norm.fit(scores.split([1, 64, 5, 30]))  # type: ignore[no-untyped-call]
    std, mean = torch.std_mean(scores.double(), dim=0, correction=0)
    torch.testing.assert_close(norm.mean, mean.float(), rtol=0, atol=1e-7)
    torch.testing.assert_close(norm.std[:4], std[:4].float(), rtol=1e-6, atol=0)
    assert norm.std[4] == 1.0


def test_fusion_in_pieces_is_the_fusion_of_everything_at_once(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["fusion-attention", "--features", str(store), "--epochs", "2", "--batch-size", "32"]
    for side in fusion.SIDES:
        given += [f"--{side}-run", str(store.parent / side)]
    train.main([*given, "--run", str(tmp_path / "whole")])
    with monkeypatch.context() as patch:
        in_pieces(patch)
        train.main([*given, "--run", str(tmp_path / "pieces")])
    whole, pieces = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "pieces")
    )
    for one, other in zip(pieces["history"], whole["history"], strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    assert pieces["metrics"]["test"] == pytest.approx(whole["metrics"]["test"], rel=1e-6)
    files = [tmp_path / name / "predictions.parquet" for name in ("whole", "pieces")]
    assert [pq.read_metadata(path).num_row_groups for path in files] == [3, 2 + 90 // FEW + 1]
    one, other = map(pq.read_table, files)
    assert one.column("clip_key").equals(other.column("clip_key"))
    flat = [np.asarray(table["scores"].combine_chunks().flatten()) for table in (one, other)]
    np.testing.assert_allclose(flat[0], flat[1], rtol=1e-4, atol=1e-6)
