"""Movement: where an object and the camera are in every frame.

Positions are shares of the frame, (0.5, 0.5) its middle. All functions take arrays of times.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.demo.options import Difficulty
from schemas.demo import FRAME_RATE

WIDTH, HEIGHT = 320, 240
"""Size of every frame in pixels."""

POP_S = 0.16
"""An object grows to its full size within this time, and shrinks again before it goes."""

Series = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Path:
    """Movement of an object over F frames, each array [F]."""

    x: Series
    y: Series
    angle: Series
    """Degrees, counter-clockwise."""
    scale: Series
    """1 is full size."""


Move = Callable[[Series, float, float], tuple[Series, Series, Series]]
"""(times in s, pace around 1, start phase in turns) -> shifts x, y and angle, each [F]."""


def _turn(times: Series, pace: float, start: float) -> Series:
    return np.asarray(2 * np.pi * (pace * times + start))


def _hop(times: Series, pace: float, start: float) -> tuple[Series, Series, Series]:
    leap = np.abs(np.sin(_turn(times, 0.6 * pace, start)))
    return 0.14 * np.sin(_turn(times, 0.11 * pace, start)), -0.16 * leap, 4 * leap


def _bob(times: Series, pace: float, start: float) -> tuple[Series, Series, Series]:
    swell = np.sin(_turn(times, 0.45 * pace, start))
    drift = 0.12 * np.sin(_turn(times, 0.07 * pace, start))
    return drift, 0.03 * swell, 7 * np.sin(_turn(times, 0.45 * pace, start + 0.2))


def _swing(times: Series, pace: float, start: float) -> tuple[Series, Series, Series]:
    stroke = np.sin(_turn(times, 1.2 * pace, start))
    return 0.03 * stroke, 0.02 * np.abs(stroke), 38 * stroke


def _still(times: Series, pace: float, start: float) -> tuple[Series, Series, Series]:
    sway = np.sin(_turn(times, 0.3 * pace, start))
    return 0.012 * sway, 0.008 * sway, 1.5 * sway


def _zigzag(times: Series, pace: float, start: float) -> tuple[Series, Series, Series]:
    x = 0.22 * np.sin(_turn(times, 0.23 * pace, start)) + 0.03 * np.sin(_turn(times, 1.9, 0))
    y = 0.16 * np.sin(_turn(times, 0.37 * pace, start)) + 0.03 * np.sin(_turn(times, 2.3, 0.3))
    return x, y, 10 * np.sin(_turn(times, 0.8 * pace, start))


def _drive(times: Series, pace: float, start: float) -> tuple[Series, Series, Series]:
    shuttle = np.arcsin(np.sin(_turn(times, 0.09 * pace, start))) / (np.pi / 2)
    return 0.26 * shuttle, 0.006 * np.sin(_turn(times, 3.1, 0)), np.zeros_like(times)


def _shake(times: Series, pace: float, start: float) -> tuple[Series, Series, Series]:
    quick = np.sin(_turn(times, 7.3 * pace, start))
    slow = 0.05 * np.sin(_turn(times, 0.2 * pace, start))
    return slow + 0.008 * quick, 0.008 * np.sin(_turn(times, 5.9 * pace, 0)), 2.5 * quick


def _tilt(times: Series, pace: float, start: float) -> tuple[Series, Series, Series]:
    lean = np.sin(_turn(times, 0.35 * pace, start))
    return 0.03 * lean, 0.01 * np.abs(lean), 14 * lean


def _rise(times: Series, pace: float, start: float) -> tuple[Series, Series, Series]:
    climb = np.sin(_turn(times, 0.16 * pace, start))
    return 0.05 * np.sin(_turn(times, 0.3, start)), -0.2 * climb, 6 * np.sin(_turn(times, 0.5, 0))


MOVES: dict[str, Move] = {
    "hop": _hop, "bob": _bob, "swing": _swing, "still": _still, "zigzag": _zigzag,
    "drive": _drive, "shake": _shake, "tilt": _tilt, "rise": _rise,
}  # fmt: skip
"""Every movement by name."""


def object_path(
    rng: np.random.Generator, move: str, n_frames: int, half: tuple[float, float], pan: float
) -> Path:
    """Return a movement around a random position; `half` is half the object's (width, height).

    The centre keeps 80 % of the object's half size, and the camera's travel `pan`, away from the
    edges, so that most of the object stays in the frame.
    """
    times = np.arange(n_frames) / FRAME_RATE
    dx, dy, angle = MOVES[move](times, float(rng.uniform(0.8, 1.25)), float(rng.uniform()))
    inset = [min(0.48, 0.8 * part + pan) for part in half]
    x = rng.uniform(inset[0], 1 - inset[0]) + dx
    y = rng.uniform(inset[1], 1 - inset[1]) + dy
    edge = np.minimum(times + 1 / FRAME_RATE, times[::-1] + 1 / FRAME_RATE)
    return Path(
        np.clip(x, inset[0], 1 - inset[0]),
        np.clip(y, inset[1], 1 - inset[1]),
        angle,
        np.clip(edge / POP_S, 0.3, 1.0),
    )


def camera(rng: np.random.Generator, ranges: Difficulty, n_frames: int) -> NDArray[np.float64]:
    """Return the camera over the clip, [F, 3]: shift x, shift y in pixels, zoom around 1."""
    times = np.arange(n_frames) / FRAME_RATE
    direction = rng.uniform(0, 2 * np.pi)
    travel = ranges.pan * np.sin(2 * np.pi * (rng.uniform(0.03, 0.08) * times + rng.uniform()))
    tremble = ranges.shake * np.sin(2 * np.pi * (np.array([[2.7], [3.4]]) * times))
    shift_x = WIDTH * travel * np.cos(direction) + tremble[0]
    shift_y = HEIGHT * travel * np.sin(direction) + tremble[1]
    zoom = 1 + ranges.pan * np.sin(2 * np.pi * (rng.uniform(0.02, 0.06) * times + rng.uniform()))
    return np.stack([shift_x, shift_y, zoom], axis=1)
