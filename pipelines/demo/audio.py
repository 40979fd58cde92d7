"""The audio of one clip: a noise floor, the events over it, and sounds of no class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.demo.options import DemoOptions
from pipelines.demo.scene import SECONDS, Scene, generator
from pipelines.demo.synthesis import RATE, VOICES, Waveform, distractor, render_voice

N_SAMPLES = RATE * SECONDS

CEILING = 0.9
"""Loudest sample of a clip; a louder mix is turned down as a whole."""

_FLOOR_DB = (-50.0, -42.0)
_DISTRACTOR_ITEM = 100  # random streams of distractors, away from those of events


@dataclass(frozen=True, eq=False)
class AudioMix:
    """The audio of one clip at 16 kHz."""

    mix: NDArray[np.float32]
    """Left and right, [2, 160000] in -1..1."""
    sources: dict[int, NDArray[np.float32]]
    """Clean mono waveform of each heard event by its id, [160000], silent outside the event."""


def mix_audio(options: DemoOptions, scene: Scene) -> AudioMix:
    """Mix the audio of a clip; equal options and scene give equal samples."""
    rng = generator(options, scene.index, "audio")
    floor_db = float(rng.uniform(*_FLOOR_DB))
    mix = np.stack([_floor(rng)] * 2) * _gain(floor_db)
    sources = {}
    for event in scene.events:
        if event.heard is None:
            continue
        own = generator(options, scene.index, "audio", event.event_id + 1)
        level = floor_db + own.uniform(*options.ranges.level_db)
        onset, offset = (second * RATE for second in event.heard)
        source = np.zeros(N_SAMPLES)
        source[onset:offset] = render_voice(VOICES[event.label], own, offset - onset) * _gain(level)
        mix += _panned(source, own)
        sources[event.event_id] = source
    _distract(mix, options, scene.index, floor_db)
    turn_down = min(1.0, CEILING / float(np.abs(mix).max()))
    return AudioMix(
        (mix * turn_down).astype(np.float32),
        {key: (source * turn_down).astype(np.float32) for key, source in sources.items()},
    )


def _gain(level_db: float) -> float:
    return float(10 ** (level_db / 20))


def _floor(rng: np.random.Generator) -> Waveform:
    """Return noise of level 1 whose spectrum falls by a random slope, from white to brown."""
    spectrum = np.fft.rfft(rng.standard_normal(N_SAMPLES))
    frequency = np.maximum(np.fft.rfftfreq(N_SAMPLES, 1 / RATE), 40)
    noise = np.fft.irfft(spectrum * (100 / frequency) ** rng.uniform(0.1, 0.8), N_SAMPLES)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def _panned(source: Waveform, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return left and right of a source; their mean is the source itself."""
    side = float(rng.uniform(-0.5, 0.5))
    return np.stack([source * (1 - side), source * (1 + side)])


def _distract(mix: NDArray[np.float64], options: DemoOptions, index: int, floor_db: float) -> None:
    ranges = options.ranges
    rng = generator(options, index, "audio", _DISTRACTOR_ITEM)
    for _ in range(int(rng.integers(ranges.distractors[0], ranges.distractors[1] + 1))):
        length = int(rng.uniform(0.5, 2.0) * RATE)
        onset = int(rng.integers(0, N_SAMPLES - length))
        level = floor_db + rng.uniform(*ranges.distractor_db)
        burst = render_voice(distractor, rng, length) * _gain(level)
        mix[:, onset : onset + length] += _panned(burst, rng)
