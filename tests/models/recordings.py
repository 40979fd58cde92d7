"""Made-up recordings of ten kinds of sound: every clip with its own pitch, place, noise and level.

A stand-in for a small folder of labelled recordings; no recording is in it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16_000
Sound = NDArray[np.float64]
Random = np.random.Generator


def coloured_noise(size: int, slope: float, random: Random) -> Sound:
    """Noise whose spectrum falls with frequency to the power of `slope`."""
    bins = np.fft.rfft(random.standard_normal(size))
    noise = np.fft.irfft(bins / np.maximum(1.0, np.arange(len(bins))) ** slope, size)
    return np.asarray(noise / (np.abs(noise).max() + 1e-9))


def harmonics(pitch: Sound, fall: float, random: Random) -> Sound:
    """A tone whose pitch in Hz is given for every sample, with overtones that fall off."""
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    partials = [np.sin(n * phase + random.random() * 6) / n**fall for n in range(1, 12)]
    return np.asarray(sum(partials) / 2)


def window(size: int, attack: float = 0.1) -> Sound:
    """Rise over a share of the length, then fall."""
    rise = max(1, int(attack * size))
    return np.concatenate([np.linspace(0, 1, rise), np.linspace(1, 0, size - rise) ** 1.5])


def placed(events: list[Sound], size: int, random: Random) -> Sound:
    """Events at random places of a silence."""
    sound = np.zeros(size)
    for event in events:
        event = event[:size]
        start = int(random.integers(0, size - len(event) + 1))
        sound[start : start + len(event)] += event
    return sound


def bark(size: int, random: Random) -> Sound:
    base = random.uniform(280, 700)
    events = []
    for _ in range(random.integers(1, 6)):
        length = int(RATE * random.uniform(0.1, 0.3))
        pitch = base * np.linspace(1.3, 0.7, length) * random.uniform(0.9, 1.1)
        events.append(harmonics(pitch, 0.7, random) * window(length))
    return placed(events, size, random)


def rain(size: int, random: Random) -> Sound:
    drops = (random.random(size) < random.uniform(0.002, 0.01)) * random.standard_normal(size)
    return coloured_noise(size, random.uniform(-0.1, 0.3), random) * 0.4 + drops


def waves(size: int, random: Random) -> Sound:
    at = np.arange(size) / RATE
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * (random.uniform(0.1, 0.35) * at + random.random()))
    return coloured_noise(size, random.uniform(0.4, 0.8), random) * swell**2


def cry(size: int, random: Random) -> Sound:
    base = random.uniform(330, 560)
    events = []
    for _ in range(random.integers(1, 5)):
        length = int(RATE * random.uniform(0.5, 1.2))
        at = np.arange(length) / RATE
        bend = 1 + 0.2 * np.sin(np.pi * at / at[-1]) + 0.02 * np.sin(2 * np.pi * 7 * at)
        events.append(harmonics(base * bend, 0.9, random) * window(length, 0.3))
    return placed(events, size, random)


def clock(size: int, random: Random) -> Sound:
    sound = np.zeros(size)
    tone = random.uniform(1500, 4500)
    step = int(RATE / random.uniform(1.0, 4.5))
    length = int(0.03 * RATE)
    tick = np.sin(2 * np.pi * tone * np.arange(length) / RATE) * window(length, 0.02)
    for start in range(int(random.integers(0, step)), size - length, step):
        sound[start : start + length] += tick * random.uniform(0.7, 1.0)
    return sound


def sneeze(size: int, random: Random) -> Sound:
    breath = int(RATE * random.uniform(0.3, 0.6))
    burst = int(RATE * random.uniform(0.15, 0.35))
    event = np.concatenate(
        [
            coloured_noise(breath, 0.2, random) * np.linspace(0, 0.25, breath),
            coloured_noise(burst, random.uniform(0.1, 0.4), random) * window(burst, 0.05),
        ]
    )
    return placed([event], size, random)


def helicopter(size: int, random: Random) -> Sound:
    at = np.arange(size) / RATE
    beat = np.maximum(0, np.sin(2 * np.pi * random.uniform(9, 16) * at)) ** 3
    return coloured_noise(size, random.uniform(0.5, 0.9), random) * (0.15 + beat)


def chainsaw(size: int, random: Random) -> Sound:
    at = np.arange(size) / RATE
    revs = 1 + 0.35 * np.sin(2 * np.pi * (random.uniform(0.1, 0.6) * at + random.random()))
    buzz = harmonics(random.uniform(70, 150) * revs, 0.3, random)
    return buzz * 0.4 + 0.3 * coloured_noise(size, 0.1, random)


def rooster(size: int, random: Random) -> Sound:
    length = int(RATE * random.uniform(1.0, 2.2))
    base = random.uniform(480, 800)
    path = np.interp(np.linspace(0, 1, length), [0, 0.2, 0.6, 1], [0.8, 1.2, 1.5, 0.8])
    return placed([harmonics(base * path, 0.8, random) * window(length, 0.2)], size, random)


def fire(size: int, random: Random) -> Sound:
    sound = 0.08 * coloured_noise(size, 0.5, random)
    for start in random.integers(0, size - 400, random.integers(15, 120)):
        length = int(random.integers(30, 400))
        sound[start : start + length] += coloured_noise(length, 0.0, random) * window(length, 0.02)
    return sound


KINDS: Mapping[str, Callable[[int, Random], Sound]] = {
    "bark": bark, "chainsaw": chainsaw, "clock": clock, "cry": cry, "fire": fire,
    "helicopter": helicopter, "rain": rain, "rooster": rooster, "sneeze": sneeze, "waves": waves,
}  # fmt: skip
"""Name of each kind to what makes it."""


def recording(kind: str, seconds: float, random: Random) -> NDArray[np.float32]:
    """One clip: the sound over a background of noise and hum, 0 to 20 dB louder."""
    size = int(seconds * RATE)
    sound = KINDS[kind](size, random)
    sound = sound / (np.abs(sound).max() + 1e-9)
    noise = coloured_noise(size, random.uniform(0.0, 0.8), random)
    mixture = sound + noise * 10 ** (-random.uniform(0, 20) / 20)
    loudest = random.uniform(0.05, 0.9)
    return (mixture / np.abs(mixture).max() * loudest).astype(np.float32)


def write_folder(
    folder: Path, clips: int, seconds: float = 5.0, *, seed: int = 0, folds: int = 0,
    kinds: int = len(KINDS),
) -> Path:  # fmt: skip
    """Recordings and `labels.csv`: every fifth clip of a kind is `test`, or folds `1`, `2`, ...

    `clips` is the number for each of the first `kinds` kinds.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,labels,split"]
    for kind in list(KINDS)[:kinds]:
        for index in range(clips):
            name = f"{kind}{index:02d}.wav"
            soundfile.write(folder / name, recording(kind, seconds, random), RATE)
            split = str(index % folds + 1) if folds else ("train", "test")[index % 5 == 4]
            lines.append(f"{name},{kind},{split}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
