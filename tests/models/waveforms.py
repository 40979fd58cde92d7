"""Made-up tones and the components that they have."""

import numpy as np
import torch
from numpy.typing import NDArray

from models.applications.separation.components import ComponentScores
from models.applications.separation.wiener import HOP, WINDOW
from tests.stores.parsing import CLASSES

SECONDS, RATE = 3, 16_000
Waveform = NDArray[np.float32]


def tone(pitch: float, start: float, stop: float) -> Waveform:
    """Return a tone of a pitch in Hz between two times, silence around it."""
    time = np.arange(SECONDS * RATE) / RATE
    inside = (time >= start) & (time < stop)
    return (0.3 * inside * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


def spectra(*waveforms: Waveform) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one component per waveform: its mean spectrum and how strong it is over time."""
    hann = torch.hann_window(WINDOW)
    w, h = [], []
    for waveform in waveforms:
        samples = torch.from_numpy(waveform)
        size = torch.stft(samples, WINDOW, HOP, window=hann, return_complex=True).abs()
        w.append(size.mean(dim=1) / size.mean(dim=1).sum())
        h.append(size.sum(dim=0))
    return torch.stack(w), torch.stack(h)


def component_scores(
    *waveforms: Waveform, components: list[list[float]], clip: list[float],
    classes: list[list[float]] | None = None,
) -> ComponentScores:  # fmt: skip
    """Return scores of one component per waveform for the classes of the made-up stores."""
    w, h = spectra(*waveforms)
    assert len(components[0]) == len(clip) == len(CLASSES)
    return ComponentScores(
        w=w, h=h, components=torch.tensor(components),
        classes=torch.tensor(components if classes is None else classes),
        clip=np.array(clip, np.float32), seconds=SECONDS,
    )  # fmt: skip
