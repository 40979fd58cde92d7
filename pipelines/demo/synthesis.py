"""How each class sounds: its timbre, envelope and rhythm.

Every voice is a function (rng, n) -> float64 [n] at 16 kHz with something to hear in every second;
pitch, pace and colour vary from event to event. `render_voice` brings a voice to the level 1.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
"""Sampling rate of the synthesis, in Hz."""

FADE_S = 0.015
"""Every event fades in and out within this time."""

Waveform = NDArray[np.float64]
Voice = Callable[[np.random.Generator, int], Waveform]


def times(n: int) -> Waveform:
    """Return the times of n samples, in seconds."""
    return np.arange(n) / RATE


def tone(frequency: Waveform | float, n: int) -> Waveform:
    """Return a sine of a frequency in Hz, constant or [n]."""
    if isinstance(frequency, float):
        return np.sin(2 * np.pi * frequency * times(n))
    return np.sin(2 * np.pi * np.cumsum(frequency) / RATE)


def harmonics(pitch: Waveform | float, strengths: Sequence[float], n: int) -> Waveform:
    """Return sines at the multiples 1, 2, 3, ... of a pitch in Hz, below 7 kHz."""
    top = float(np.max(pitch))
    parts = [(k, a) for k, a in enumerate(strengths, 1) if k * top < 7000]
    return np.asarray(sum(a * tone(pitch * float(k), n) for k, a in parts))


def band_noise(rng: np.random.Generator, n: int, low: float, high: float) -> Waveform:
    """Return noise of level 1 between two frequencies in Hz, with soft flanks."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / RATE)
    gain = 1 / (1 + (low / np.maximum(frequency, 1)) ** 8) / (1 + (frequency / high) ** 8)
    noise = np.fft.irfft(spectrum * np.sqrt(gain), n)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def decay(n: int, seconds: float, attack_s: float = 0.002) -> Waveform:
    """Return the envelope of a blow: a quick rise, then a fall to 1/e within `seconds`."""
    t = times(n)
    return np.minimum(t / attack_s, 1.0) * np.exp(-t / seconds)


def beats(rng: np.random.Generator, n: int, per_second: float, jitter: float = 0.06) -> list[int]:
    """Return the sample positions of a rhythm, the first near the start."""
    step = RATE / per_second
    regular = np.arange(0.03 * RATE, n, step)
    moved = regular + rng.uniform(-jitter, jitter, len(regular)) * step
    return [int(sample) for sample in np.clip(moved, 0, n - 1)]


def add_grains(n: int, starts: Sequence[int], grains: Sequence[Waveform]) -> Waveform:
    """Add grains up at their starts, in turn, cut at the end."""
    waveform = np.zeros(n)
    for turn, start in enumerate(starts):
        grain = grains[turn % len(grains)][: n - start]
        waveform[start : start + len(grain)] += grain
    return waveform


def _frog(rng: np.random.Generator, n: int) -> Waveform:
    grains = []
    for _ in range(3):
        length = int(rng.uniform(0.2, 0.3) * RATE)
        pulse = np.maximum(0, tone(rng.uniform(32, 48), length)) ** 3
        croak = harmonics(rng.uniform(190, 260), (0.3, 1.0, 0.8, 0.9, 0.4, 0.2), length)
        grains.append(pulse * croak * np.hanning(length))
    return add_grains(n, beats(rng, n, rng.uniform(2.2, 3.2)), grains)


def _tugboat(rng: np.random.Generator, n: int) -> Waveform:
    pitch = rng.uniform(85, 130)
    strengths = [1 / k**0.8 for k in range(1, 9)]
    horn = harmonics(pitch, strengths, n) + harmonics(pitch * 1.26, strengths, n)
    blast = 0.65 + 0.35 * np.clip(3 * tone(rng.uniform(0.6, 0.9), n), -1, 1)
    return horn * blast + 0.15 * band_noise(rng, n, 60, 400)


def _hammer(rng: np.random.Generator, n: int) -> Waveform:
    length = int(0.3 * RATE)
    ring = rng.uniform(2300, 3100)
    grains = [
        band_noise(rng, length, 900, 6500) * decay(length, 0.012) * 2
        + sum(tone(ring * part, length) for part in (1.0, 1.47, 2.09)) * decay(length, 0.06) * 0.6
        for _ in range(2)
    ]
    return add_grains(n, beats(rng, n, rng.uniform(2.4, 4.0)), grains)


def _marimba(rng: np.random.Generator, n: int) -> Waveform:
    root = rng.uniform(280, 420)
    length = int(0.5 * RATE)
    grains = []
    for _ in range(8):
        pitch = root * 2 ** (float(rng.choice([0, 2, 4, 7, 9, 12])) / 12)
        bar = tone(pitch, length) * decay(length, 0.16)
        grains.append(bar + 0.4 * tone(3.93 * pitch, length) * decay(length, 0.04))
    return add_grains(n, beats(rng, n, rng.uniform(4.0, 6.0), 0.03), grains)


def _bumblebee(rng: np.random.Generator, n: int) -> Waveform:
    wander = 1 + 0.08 * tone(rng.uniform(0.6, 1.2), n) + 0.04 * tone(rng.uniform(3, 5), n)
    buzz = harmonics(rng.uniform(170, 240) * wander, [1 / k**0.6 for k in range(1, 15)], n)
    return buzz * (0.75 + 0.25 * tone(rng.uniform(5, 9), n))


def _steam_train(rng: np.random.Generator, n: int) -> Waveform:
    length = int(0.22 * RATE)
    chuffs = [band_noise(rng, length, 250, 2400) * decay(length, 0.07, 0.02) * w
              for w in (1.3, 0.8, 1.0, 0.8)]  # fmt: skip
    waveform = add_grains(n, beats(rng, n, rng.uniform(4.0, 6.5), 0.02), chuffs)
    blow = int(0.8 * RATE)
    root = rng.uniform(480, 620)
    chord = sum(tone(root * ratio, blow) for ratio in (1.0, 1.25, 1.5)) * np.hanning(blow)
    return waveform + 0.25 * add_grains(n, [int(rng.uniform(0.1, 0.8) * RATE)], [np.asarray(chord)])


def _drill(rng: np.random.Generator, n: int) -> Waveform:
    rev = 1 - 0.35 * np.exp(-(times(n) % rng.uniform(1.6, 2.6)) / 0.25)
    motor = harmonics(rng.uniform(480, 680) * rev, (0.5, 1.0, 0.4, 0.8, 0.3, 0.6, 0.3, 0.3), n)
    return motor * (1 + 0.3 * tone(rng.uniform(55, 75), n)) + 0.8 * band_noise(rng, n, 2500, 7000)


def _drum(rng: np.random.Generator, n: int) -> Waveform:
    length = int(0.35 * RATE)
    low = rng.uniform(65, 100)
    sweep = low * (1 + 1.2 * np.exp(-times(length) / 0.03))
    kick = tone(sweep, length) * decay(length, 0.12) * 1.4
    snare = band_noise(rng, length, 300, 5000) * decay(length, 0.05) * 0.5
    snare = snare + 0.6 * tone(2.4 * low, length) * decay(length, 0.06)
    pattern = [kick, kick, snare, kick] if rng.uniform() < 0.5 else [kick, snare]
    return add_grains(n, beats(rng, n, rng.uniform(3.0, 5.0), 0.02), pattern)


def _owl(rng: np.random.Generator, n: int) -> Waveform:
    pitch = rng.uniform(330, 460)
    grains = []
    for stretch in (0.2, 0.2, 0.42):
        length = int(stretch * RATE)
        glide = pitch * (1 + 0.06 * np.sin(np.pi * np.linspace(0, 1, length)))
        grains.append(harmonics(glide, (1.0, 0.12, 0.05), length) * np.hanning(length))
    return add_grains(n, beats(rng, n, rng.uniform(1.9, 2.4), 0.04), grains)


def _rocket(rng: np.random.Generator, n: int) -> Waveform:
    rumble = band_noise(rng, n, 40, rng.uniform(220, 380))
    flutter = 1 + 0.4 * np.clip(band_noise(rng, n, 5, 14), -2, 2)
    return rumble * flutter + 0.25 * band_noise(rng, n, 400, 3000)


def _kettle(rng: np.random.Generator, n: int) -> Waveform:
    pitch = rng.uniform(1900, 2700) * (1 + 0.012 * tone(rng.uniform(5, 8), n))
    rise = 1 + 0.1 * (1 - np.exp(-times(n) / 1.5))
    whistle = harmonics(pitch * rise, (1.0, 0.25), n)
    return whistle + 0.2 * band_noise(rng, n, 3000, 7000)


def _organ(rng: np.random.Generator, n: int) -> Waveform:
    root = rng.uniform(180, 260)
    length = int(rng.uniform(0.6, 0.9) * RATE)
    edge = np.minimum(1, np.minimum(times(length), times(length)[::-1]) / 0.03)
    grains = []
    for step in (0, 5, 7, 9):
        chord = [root * 2 ** ((step + note) / 12) for note in (0, 4, 7)]
        stops = [harmonics(pitch, (1.0, 0.6, 0.3, 0.4, 0.0, 0.2, 0.0, 0.25), length)
                 for pitch in chord]  # fmt: skip
        grains.append(np.sum(stops, axis=0) * edge)
    return add_grains(n, list(range(0, n, length)), grains)


def _cricket(rng: np.random.Generator, n: int) -> Waveform:
    length = int(rng.uniform(0.16, 0.24) * RATE)
    pulse = np.maximum(0, tone(rng.uniform(26, 36), length)) ** 2
    chirp = tone(rng.uniform(4200, 5200), length) * pulse * np.hanning(length)
    return add_grains(n, beats(rng, n, rng.uniform(2.6, 3.6), 0.02), [chirp])


def _tram(rng: np.random.Generator, n: int) -> Waveform:
    length = int(0.5 * RATE)
    bell = rng.uniform(1050, 1350)
    ding = sum(
        strength * tone(bell * ratio, length) * decay(length, 0.22 / ratio)
        for ratio, strength in ((1.0, 1.0), (2.4, 0.7), (3.9, 0.5))
    )
    hum = harmonics(rng.uniform(110, 150) * (1 + 0.2 * times(n) / 10), (0.6, 1.0, 0.3, 0.5), n)
    bells = add_grains(n, beats(rng, n, rng.uniform(2.6, 3.4), 0.02), [np.asarray(ding)])
    return bells + 0.12 * hum


def _clock(rng: np.random.Generator, n: int) -> Waveform:
    length = int(0.12 * RATE)
    high = rng.uniform(1500, 1900)
    grains = [
        (tone(pitch, length) + 0.5 * tone(2.7 * pitch, length)) * decay(length, 0.012, 0.001)
        for pitch in (high, 0.72 * high)
    ]
    return add_grains(n, beats(rng, n, rng.uniform(3.0, 4.2), 0.01), grains)


def _theremin(rng: np.random.Generator, n: int) -> Waveform:
    glide = tone(rng.uniform(0.25, 0.45), n) + 0.5 * tone(rng.uniform(0.6, 0.8), n)
    pitch = rng.uniform(600, 800) * 2 ** (0.5 * glide + 0.03 * tone(rng.uniform(5.5, 7), n))
    return harmonics(pitch, (1.0, 0.3, 0.12), n)


VOICES: dict[str, Voice] = {
    "Frog": _frog, "Tugboat": _tugboat, "Hammer": _hammer, "Marimba": _marimba,
    "Bumblebee": _bumblebee, "Steam_train": _steam_train, "Drill": _drill, "Drum": _drum,
    "Owl": _owl, "Rocket": _rocket, "Kettle": _kettle, "Organ": _organ, "Cricket": _cricket,
    "Tram": _tram, "Clock": _clock, "Theremin": _theremin,
}  # fmt: skip
"""The voice of each class by name."""


def distractor(rng: np.random.Generator, n: int) -> Waveform:
    """Return a sound of no class: a rustle, a wind-like swell, or a slow sweep."""
    kind = int(rng.integers(3))
    if kind == 0:
        rustle = band_noise(rng, n, 1500, 6000)
        return rustle * np.maximum(0, band_noise(rng, n, 1, 6)) ** 2
    if kind == 1:
        return band_noise(rng, n, 150, 900) * (1 + 0.8 * tone(rng.uniform(0.2, 0.5), n))
    low, high = np.sort(rng.uniform(200, 3000, 2))
    return tone(np.linspace(low, high + 200, n), n)


def render_voice(voice: Voice, rng: np.random.Generator, n: int) -> Waveform:
    """Return a voice over n samples, with a root mean square of 1 and soft ends."""
    waveform = voice(rng, n)
    fade = np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / (FADE_S * RATE))
    waveform = waveform * fade
    return np.asarray(waveform / np.sqrt(np.mean(waveform**2)))
