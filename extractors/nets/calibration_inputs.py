"""Drawn frames, videos and waveforms for calibrating random weights: all made from a seed.

They show what a net should tell apart: shapes, colours, textures, directions of motion, timbres,
pitches, rhythms. Letters: N items, F frames.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from schemas.media import SAMPLE_RATE

Grid = NDArray[np.float64]


def draw_videos(n: int, frames: int, side: int, seed: int) -> NDArray[np.uint8]:
    """Return [N, F, side, side, 3]: a moving, turning, textured shape before a textured ground.

    >>> draw_videos(2, 3, 32, seed=0).shape
    (2, 3, 32, 32, 3)
    """
    rng = np.random.default_rng(seed)
    out = np.empty((n, frames, side, side, 3), dtype=np.uint8)
    for item in range(n):
        out[item] = _video(rng, frames, side)
    return out


def draw_frames(n: int, side: int, seed: int) -> NDArray[np.uint8]:
    """Return [N, side, side, 3]: one frame of N drawn videos."""
    return draw_videos(n, 1, side, seed)[:, 0]


def _video(rng: np.random.Generator, frames: int, side: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[-1.0 : 1.0 : side * 1j, -1.0 : 1.0 : side * 1j]
    ground, ground_drift = _texture(rng), rng.uniform(-0.05, 0.05, 2)
    shape, fill = SHAPES[rng.integers(len(SHAPES))], _texture(rng)
    radius, angle, turn = rng.uniform(0.2, 0.7), rng.uniform(0, 2 * np.pi), rng.normal(0, 0.15)
    centre, speed = rng.uniform(-0.5, 0.5, 2), rng.normal(0, 0.08, 2)
    light, noise = rng.uniform(0.6, 1.2), rng.uniform(0, 12)
    out = np.empty((frames, side, side, 3))
    for frame in range(frames):
        cx, cy = centre + frame * speed
        a = angle + frame * turn
        u, v = (x - cx) / radius, (y - cy) / radius
        u, v = u * np.cos(a) + v * np.sin(a), v * np.cos(a) - u * np.sin(a)
        inside = np.clip((1.0 - shape(u, v)) * radius * side / 2, 0, 1)[..., None]
        dx, dy = frame * ground_drift
        out[frame] = fill(u, v) * inside + ground(x - dx, y - dy) * (1 - inside)
    out = out * 255 * light + rng.normal(0, noise, out.shape)
    return np.clip(out, 0, 255).astype(np.uint8)


SHAPES: tuple[Callable[[Grid, Grid], Grid], ...] = (
    lambda u, v: np.hypot(u, v),  # disc
    lambda u, v: np.maximum(abs(u), abs(v)),  # square
    lambda u, v: np.maximum(abs(u), 3 * abs(v)),  # bar
    lambda u, v: abs(u) + abs(v),  # diamond
    lambda u, v: np.maximum(v, abs(u) * 1.7 - v) * 1.2,  # triangle
    lambda u, v: np.minimum(np.maximum(abs(u), 3 * abs(v)), np.maximum(3 * abs(u), abs(v))),  # plus
    lambda u, v: abs(np.hypot(u, v) - 0.7) * 3 + 0.1,  # ring
    lambda u, v: np.hypot(u, v) * (1.5 + 0.5 * np.cos(5 * np.arctan2(v, u))),  # star
)
"""Shapes around the origin: inside where the value is below 1."""


def _texture(rng: np.random.Generator) -> Callable[[Grid, Grid], Grid]:
    """Return a colouring of the plane: even, striped, chequered, dotted, shaded or cloudy."""
    first, second = rng.uniform(0, 1, (2, 3))
    kind, pitch = rng.integers(6), rng.uniform(4, 25)
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    waves = rng.normal(0, 5, (4, 2))

    def share(u: Grid, v: Grid) -> Grid:
        along = u * np.cos(angle) + v * np.sin(angle)
        across = v * np.cos(angle) - u * np.sin(angle)
        if kind == 0:
            return np.zeros_like(u)
        if kind == 1:
            return 0.5 + 0.5 * np.tanh(3 * np.sin(pitch * along + phase))
        if kind == 2:
            return 0.5 + 0.5 * np.sign(np.sin(pitch * along) * np.sin(pitch * across))
        if kind == 3:
            return np.asarray(np.sin(pitch * along) * np.sin(pitch * across) > 0.4, dtype=float)
        if kind == 4:
            return np.clip(0.5 + 0.5 * along, 0, 1)
        return 0.5 + 0.125 * sum(np.sin(a * u + b * v + phase) for a, b in waves)

    return lambda u, v: first + (second - first) * share(u, v)[..., None]


def draw_waveforms(n: int, seconds: float, seed: int) -> NDArray[np.float32]:
    """Return float32 [N, samples] at 16 kHz: tones, chirps, noises and beats, one or two at a time.

    >>> draw_waveforms(3, 0.5, seed=0).shape
    (3, 8000)
    """
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    out = np.empty((n, len(time)), dtype=np.float32)
    for item in range(n):
        sound = sum(_voice(rng, time) for _ in range(rng.integers(1, 3)))
        sound = sound / (np.abs(sound).max() + 1e-9) * 10 ** rng.uniform(-1.5, -0.1)
        out[item] = sound + rng.normal(0, 10 ** rng.uniform(-4, -2), len(time))
    return np.clip(out, -1, 1)


def _voice(rng: np.random.Generator, time: Grid) -> Grid:
    """Return one source: a carrier under a rhythm."""
    kind, pitch = rng.integers(4), 60.0 * 2 ** rng.uniform(0, 5.5)
    if kind == 0:  # harmonic tone with its own timbre and vibrato
        partials = np.arange(1, 1 + int(min(20, 7500 // pitch)))
        strengths = rng.uniform(0, 1, len(partials)) / partials ** rng.uniform(0, 2)
        wobble = rng.uniform(0, 3) * np.sin(2 * np.pi * rng.uniform(3, 8) * time)
        carrier = sum(
            s * np.sin(k * (2 * np.pi * pitch * time + wobble))
            for k, s in zip(partials, strengths, strict=True)
        )
    elif kind == 1:  # chirp
        end = 60.0 * 2 ** rng.uniform(0, 6)
        carrier = np.sin(2 * np.pi * (pitch + (end - pitch) / (2 * time[-1]) * time) * time)
    else:  # noise in a band, or bell of inharmonic partials
        spectrum = np.fft.rfft(rng.normal(0, 1, len(time)))
        octaves = np.log2(np.fft.rfftfreq(len(time), 1 / SAMPLE_RATE) / (4 * pitch) + 1e-9)
        width = rng.uniform(0.05, 2.0) if kind == 2 else 4.0
        carrier = np.fft.irfft(spectrum * np.exp(-((octaves / width) ** 2)), len(time))
    rate, phase = 2 ** rng.uniform(0, 4), rng.uniform(0, 1)
    beat = (time * rate + phase) % 1.0
    rhythm = (1.0, np.exp(-beat * rng.uniform(2, 10)), beat < 0.5)[rng.integers(3)]
    return np.asarray(carrier * rhythm)
