"""Components: the factorisation against golden numbers, and what it does to a mixture."""

from pathlib import Path

import numpy as np
import pytest
import torch

from extractors.base import Array
from extractors.ncp import NCP, WINDOW_HOP_S, components, loudest, nmf_kl
from schemas.media import ClipMedia
from schemas.recipe import RECIPES


@pytest.mark.parametrize("updates", [1, 10, 100])
def test_updates_are_the_published_ones(shared: Path, updates: int) -> None:
    golden = np.load(shared / "golden" / "nmf_kl.npz")
    x, w0, h0 = (torch.from_numpy(golden[name]) for name in ("X", "W0", "H0"))
    w, h = nmf_kl(x, w0, h0, updates)
    np.testing.assert_allclose(w, golden[f"W_{updates}"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(h, golden[f"H_{updates}"], rtol=1e-6, atol=1e-9)


def test_two_alternating_spectra_come_apart() -> None:
    generator = torch.Generator().manual_seed(1)
    spectra = torch.rand(513, 2, generator=generator) ** 4
    turns = torch.zeros(2, 60)
    turns[0, :30], turns[1, 30:] = 1.0, 1.0
    mixture = spectra @ turns
    w, h = components(mixture)
    torch.testing.assert_close(w.sum(dim=0), torch.ones(20))
    assert float((mixture - w @ h).abs().mean() / mixture.mean()) < 0.01
    first, second = h[:, :30].sum(dim=1), h[:, 30:].sum(dim=1)
    purity = torch.maximum(first, second).sum() / (first + second).sum()
    assert purity > 0.95


def test_silence_has_components_that_never_act() -> None:
    w, h = components(torch.zeros(513, 32))
    assert torch.isfinite(w).all()
    assert float(h.abs().max()) == 0.0


def test_a_component_is_described_by_its_loudest_windows() -> None:
    size = round(WINDOW_HOP_S * 16_000)
    level = np.array([1.0, 0.0, 3.0, 5.0, 2.0, 0.0, 4.0, 0.5], np.float32)
    sound = np.repeat(level, size)
    examples = np.arange(8, dtype=np.float32)[:, None, None] * np.ones((8, 96, 64), np.float32)
    assert loudest(sound, examples)[:, 0, 0].tolist() == [0.0, 2.0, 3.0, 4.0, 6.0]
    assert loudest(sound, examples[:2])[:, 0, 0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("windows", "count"), [("all", 19), ("loudest", 5)])
def test_a_component_is_the_mean_over_the_windows_of_the_recipe(
    windows: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def embed(examples: Array) -> Array:
        seen.append(len(examples))
        return np.arange(len(examples), dtype=np.float32)[:, None] * np.ones(128, np.float32)

    recipe = RECIPES["llp-eccv20"].with_(extractors=("ncp",), ncp_windows=windows)
    extractor = NCP(recipe)
    monkeypatch.setattr(extractor, "embedder", embed, raising=False)
    sound = np.random.default_rng(0).standard_normal(160_000).astype(np.float32)
    present = np.ones(10, np.bool_)
    media = ClipMedia(
        clip_key="a", n_snippets=10, waveform=sound, frames=None,
        audio_valid=present, frames_valid=~present,
    )  # fmt: skip
    found = extractor.extract(media)
    assert found is not None
    assert seen == [20 * count]
    np.testing.assert_allclose(found.vggish[:, 0], np.arange(20) * count + (count - 1) / 2)
