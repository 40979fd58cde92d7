"""Seeded weights: the same in every process, of unit size, and worth learning from."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier

from extractors.base import LoadOptions
from extractors.nets import seeded
from extractors.nets.calibration_inputs import draw_waveforms
from extractors.registry import create
from extractors.vggish import Embedder, log_mel_examples
from schemas.recipe import RECIPES
from tests.extractors.conftest import make_media
from tests.places import ROOT

RAW = RECIPES["llp-eccv20"].with_(vggish_relu=False)


def flat(net: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.float().flatten()[:1000] for value in net.state_dict().values()])


def test_same_with_and_without_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    measured, _ = seeded.seeded_net("vggish", 4)
    (kept,) = (tmp_path / "earsight" / "seeded").iterdir()
    bytes_once = kept.read_bytes()
    read, _ = seeded.seeded_net("vggish", 4)
    assert torch.equal(flat(measured), flat(read))
    kept.unlink()
    seeded.seeded_net("vggish", 4)
    assert kept.read_bytes() == bytes_once


def test_same_in_another_process_with_more_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    net, _ = seeded.seeded_net("vggish", 4)
    ours = hashlib.sha256(b"".join(v.numpy().tobytes() for v in net.state_dict().values()))
    code = (
        "import hashlib, torch, extractors.nets.seeded as s; torch.set_num_threads(3); "
        "v = s.seeded_net('vggish', 4)[0].state_dict().values(); "
        "print(hashlib.sha256(b''.join(one.numpy().tobytes() for one in v)).hexdigest())"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.strip() == ours.hexdigest(), told.stderr


def test_a_cache_that_cannot_be_written_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "earsight").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    net, _ = seeded.seeded_net("vggish", 4)
    assert torch.isfinite(flat(net)).all()


def test_seeds_differ() -> None:
    assert not torch.equal(
        flat(seeded.drawn_net("r2plus1d", 0)), flat(seeded.drawn_net("r2plus1d", 1))
    )


def test_vggish_outputs_are_of_unit_size() -> None:
    embed = Embedder(RAW)
    embed.open(LoadOptions(weights="seeded"))
    examples = np.concatenate([log_mel_examples(s) for s in draw_waveforms(24, 1.0, seed=99)])
    out = embed(examples)
    assert abs(out.mean()) < 0.3
    assert 0.5 < out.std() < 2.0


def timbre(number: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """One second of one of eight timbres at a random pitch and loudness, in some noise."""
    time, pitch = np.arange(16_000) / 16_000, rng.uniform(100, 400)
    strengths = np.random.default_rng(number).uniform(0, 1, 12) ** 3
    phases = rng.uniform(0, 2 * np.pi, 12)
    sound = sum(
        strength * np.sin(2 * np.pi * pitch * (k + 1) * time + phases[k])
        for k, strength in enumerate(strengths)
    )
    sound = sound / np.abs(sound).max() * rng.uniform(0.1, 0.8)
    return (sound + rng.normal(0, 0.01, len(time))).astype(np.float32)


def test_vggish_tells_timbres_apart() -> None:
    embed = Embedder(RAW)
    embed.open(LoadOptions(weights="seeded"))
    rng, labels = np.random.default_rng(1), np.tile(np.arange(8), 12)
    features = embed(np.concatenate([log_mel_examples(timbre(int(n), rng)) for n in labels]))
    probe = RidgeClassifier(alpha=10.0).fit(features[:64], labels[:64])
    assert probe.score(features[64:], labels[64:]) > 0.5  # chance 0.125


def test_r2plus1d_tells_motions_apart() -> None:
    """A red square on grey, anywhere: still, sliding, flickering, growing."""
    rng, labels = np.random.default_rng(2), np.tile(np.arange(4), 18)
    frames = []
    for label in labels:
        left, top = rng.integers(8, 24, 2)
        for number in range(8):
            frame = np.full((64, 64, 3), 90, dtype=np.uint8)
            x, side = left + 3 * number * (label == 1), 12 + 3 * number * (label == 3)
            if label != 2 or number % 2:
                frame[top : top + side, x : x + side] = (220, 50, 40)
            frames.append(frame)
    clip = replace(make_media(len(labels), width=64, height=64), frames=frames)
    features = create("r2plus1d").load("cpu", "seeded").extract(clip)
    assert isinstance(features, np.ndarray)
    probe = RidgeClassifier(alpha=100.0).fit(features[:48], labels[:48])
    assert probe.score(features[48:], labels[48:]) > 0.5  # chance 0.25
