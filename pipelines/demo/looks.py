"""How each class looks: a drawing with a phase, its colours, texture and movement.

Every drawing fills a sheet of the look's aspect (width over height). `phase` in 0..1 is cyclic:
wings beat, wheels turn, steam rises.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.demo.pen import Pen, Tint

Drawing = Callable[[Pen, Tint, float], None]

STEEL = (150, 142, 132)
WOOD = (60, 110, 165)
BRASS = (60, 170, 215)
GLASS = (235, 215, 170)
SMOKE = (225, 225, 222)


def wave(phase: float, shift: float = 0.0) -> float:
    """Return the sine of a cyclic phase, -1..1."""
    return math.sin(2 * math.pi * (phase + shift))


def _frog(pen: Pen, tint: Tint, phase: float) -> None:
    stretch = 0.04 * wave(phase)
    for side in (-1, 1):
        pen.oval(0.6 + side * 0.38, 0.78, 0.2, 0.11, tint.second, turn=side * -25)
        pen.oval(0.6 + side * 0.36, 0.93, 0.17, 0.05, tint.main)
    pen.oval(0.6, 0.64 - stretch, 0.42, 0.3, tint.main)
    pen.oval(0.6, 0.76 - stretch, 0.28 + 0.06 * tint.build, 0.17, tint.light)
    for side in (-1, 1):
        pen.dot(0.6 + side * 0.24, 0.3 - stretch, 0.15, tint.main)
        pen.eye(0.6 + side * 0.24, 0.28 - stretch, 0.105, 0.6 * wave(phase))
    pen.oval(0.6, 0.53 - stretch, 0.24, 0.02 + 0.03 * abs(wave(phase)), tint.dark)


def _tugboat(pen: Pen, tint: Tint, phase: float) -> None:
    pen.box(0.95, 0.18, 1.13, 0.5, tint.second)
    pen.box(0.95, 0.24, 1.13, 0.31, tint.light)
    for puff in range(3):
        rise = (phase + puff / 3) % 1.0
        pen.dot(1.04 + 0.25 * rise, 0.15 - 0.1 * rise, 0.05 + 0.05 * rise, SMOKE)
    pen.box(0.42, 0.36, 0.9, 0.66, tint.light)
    pen.box(0.36, 0.31, 0.96, 0.38, tint.dark)
    for window in range(3):
        pen.dot(0.52 + 0.14 * window, 0.49, 0.05, GLASS)
    pen.shape([(0.08, 0.58), (1.52, 0.52), (1.4, 0.92), (0.28, 0.92)], tint.main)
    pen.shape([(0.08, 0.58), (1.52, 0.52), (1.5, 0.6), (0.11, 0.66)], tint.light)
    for tyre in range(4):
        pen.dot(0.38 + 0.27 * tyre, 0.76, 0.075, tint.dark)
        pen.dot(0.38 + 0.27 * tyre, 0.76, 0.035, tint.main)


def _hammer(pen: Pen, tint: Tint, phase: float) -> None:
    del phase  # the whole tool swings
    pen.box(0.4, 0.2, 0.53, 0.98, WOOD)
    pen.box(0.4, 0.62, 0.53, 0.98, tint.main)
    for ring in range(3):
        pen.box(0.4, 0.68 + 0.1 * ring, 0.53, 0.71 + 0.1 * ring, tint.dark)
    pen.box(0.16, 0.1, 0.72, 0.34, STEEL)
    pen.box(0.08, 0.06, 0.22, 0.38, (175, 170, 160))
    pen.shape([(0.7, 0.1), (0.98, 0.02 + 0.1 * tint.build), (0.72, 0.34)], (130, 122, 112))


def _marimba(pen: Pen, tint: Tint, phase: float) -> None:
    bars = 8
    for bar in range(bars):
        x = 0.1 + 0.185 * bar
        tall = 0.62 - 0.045 * bar
        pen.box(x + 0.04, 0.62, x + 0.11, 0.62 + 0.55 * tall, BRASS)
        fill = tint.main if bar % 2 else tint.second
        pen.box(x, 0.58 - tall / 2, x + 0.15, 0.58 + tall / 2, fill)
    pen.box(0.05, 0.42, 1.6, 0.46, tint.dark)
    pen.box(0.05, 0.66, 1.6, 0.7, tint.dark)
    for hand, start in enumerate((0.2, 0.75)):
        x = start + 0.55 * abs(wave(phase, 0.25 * hand) * 0.9)
        y = 0.3 + 0.12 * wave(2 * phase, 0.5 * hand)
        pen.stroke([(x + 0.16, y - 0.27), (x, y)], 0.03, WOOD)
        pen.dot(x, y, 0.075, tint.light)


def _bumblebee(pen: Pen, tint: Tint, phase: float) -> None:
    beat = 22 * wave(3 * phase)
    for wing, turn in ((0.62, -60 + beat), (0.84, -115 - beat)):
        pen.oval(wing, 0.24, 0.26, 0.13, (240, 232, 222), turn=turn)
    pen.oval(0.7, 0.6, 0.5, 0.34, tint.main)
    for band in range(3):
        x = 0.5 + 0.23 * band
        half = 0.34 * math.sqrt(max(0.0, 1 - ((x - 0.7) / 0.5) ** 2))
        pen.oval(x, 0.6, 0.062 + 0.02 * tint.build, half, tint.dark)
    pen.shape([(1.17, 0.54), (1.36, 0.6), (1.17, 0.66)], tint.dark)
    pen.dot(0.24, 0.56, 0.17, tint.dark)
    pen.eye(0.2, 0.52, 0.075, -0.5)
    pen.stroke([(0.2, 0.42), (0.12, 0.3), (0.04, 0.28)], 0.03, tint.dark)


def _steam_train(pen: Pen, tint: Tint, phase: float) -> None:
    for puff in range(4):
        rise = (phase + puff / 4) % 1.0
        pen.dot(1.36 - 0.7 * rise, 0.2 - 0.1 * rise, 0.06 + 0.06 * rise, SMOKE)
    pen.box(1.28, 0.2, 1.44, 0.5, tint.dark)
    pen.box(1.24, 0.18, 1.48, 0.25, tint.second)
    pen.box(0.1, 0.16, 0.62, 0.74, tint.main)
    pen.box(0.04, 0.12, 0.68, 0.2, tint.dark)
    pen.box(0.2, 0.28, 0.5, 0.48, GLASS)
    pen.box(0.6, 0.4, 1.58, 0.74, tint.main)
    for band in range(3):
        pen.box(0.78 + 0.28 * band, 0.4, 0.82 + 0.28 * band, 0.74, BRASS)
    pen.dot(1.58, 0.57, 0.17, tint.second)
    pen.shape([(1.55, 0.74), (1.78, 0.92), (1.5, 0.92)], tint.second)
    for wheel in range(4):
        x = 0.28 + 0.36 * wheel
        pen.dot(x, 0.82, 0.15, tint.dark)
        pen.dot(x, 0.82, 0.11, tint.second)
        turn = 2 * math.pi * phase
        spoke = (0.1 * math.cos(turn), 0.1 * math.sin(turn))
        pen.stroke([(x - spoke[0], 0.82 - spoke[1]), (x + spoke[0], 0.82 + spoke[1])], 0.03,
                   tint.dark)  # fmt: skip
    pen.stroke([(0.28 + 0.09 * wave(phase), 0.85), (1.36 + 0.09 * wave(phase), 0.85)], 0.04, STEEL)


def _drill(pen: Pen, tint: Tint, phase: float) -> None:
    pen.shape([(0.28, 0.4), (0.56, 0.4), (0.5, 0.96), (0.2, 0.96)], tint.main)
    pen.box(0.14, 0.84, 0.6, 0.98, tint.dark)
    pen.oval(0.46, 0.28, 0.42, 0.2, tint.main)
    pen.box(0.46, 0.1, 0.86, 0.46, tint.main)
    pen.box(0.3, 0.2, 0.62, 0.26, tint.dark)
    pen.box(0.3, 0.31, 0.62, 0.37, tint.dark)
    pen.shape([(0.86, 0.14), (1.08, 0.2), (1.08, 0.36), (0.86, 0.42)], tint.dark)
    pen.box(1.06, 0.24, 1.58, 0.32, STEEL)
    for turn in range(5):
        x = 1.06 + 0.1 * ((turn + phase) % 5)
        pen.shape([(x, 0.21), (x + 0.05, 0.21), (x + 0.1, 0.35), (x + 0.05, 0.35)], tint.light)
    pen.box(0.54, 0.5, 0.66, 0.6, tint.second)


def _drum(pen: Pen, tint: Tint, phase: float) -> None:
    pen.box(0.15, 0.42, 1.05, 0.82, tint.main)
    pen.oval(0.6, 0.82, 0.45, 0.14, tint.main)
    for zig in range(6):
        x = 0.17 + 0.15 * zig
        pen.stroke([(x, 0.47), (x + 0.075, 0.86), (x + 0.15, 0.47)], 0.025, tint.light)
    pen.oval(0.6, 0.42, 0.48, 0.17, BRASS)
    pen.oval(0.6, 0.41, 0.43, 0.13 + 0.02 * wave(2 * phase), (220, 232, 240))
    for side, shift in ((-1, 0.0), (1, 0.5)):
        lift = 0.13 * abs(wave(phase, shift / 2))
        tip = (0.6 + side * 0.14, 0.38 - lift)
        pen.stroke([(0.6 + side * 0.5, 0.08 - 0.2 * lift), tip], 0.045, WOOD)
        pen.dot(*tip, 0.05, tint.second)


def _owl(pen: Pen, tint: Tint, phase: float) -> None:
    pen.oval(0.45, 0.62, 0.36, 0.35, tint.main)
    for side in (-1, 1):
        pen.oval(0.45 + side * 0.32, 0.66, 0.11, 0.26, tint.dark, turn=side * (8 + 5 * wave(phase)))
        pen.shape([(0.45 + side * 0.34, 0.02), (0.45 + side * 0.1, 0.2),
                   (0.45 + side * 0.36, 0.3)], tint.main)  # fmt: skip
    pen.oval(0.45, 0.74, 0.22, 0.21, tint.second)
    for row in range(3):
        for column in range(4):
            pen.oval(0.33 + 0.08 * column, 0.64 + 0.09 * row, 0.03, 0.02, tint.dark)
    pen.oval(0.45, 0.33, 0.37, 0.22, tint.main)
    open_eye = 0.13 if phase < 0.88 else 0.03
    for side in (-1, 1):
        pen.dot(0.45 + side * 0.17, 0.32, 0.165, tint.light)
        pen.oval(0.45 + side * 0.17, 0.32, 0.13, open_eye, (40, 190, 245))
        pen.oval(0.45 + side * 0.17, 0.32, 0.07, 0.55 * open_eye, (15, 15, 18))
    pen.shape([(0.4, 0.4), (0.5, 0.4), (0.45, 0.52)], (40, 140, 235))


def _rocket(pen: Pen, tint: Tint, phase: float) -> None:
    flame = 0.12 + 0.06 * wave(2 * phase)
    pen.shape([(0.22, 0.76), (0.48, 0.76), (0.35, 0.84 + flame)], (40, 120, 250))
    pen.shape([(0.28, 0.76), (0.42, 0.76), (0.35, 0.8 + flame / 2)], (120, 235, 255))
    for side in (-1, 1):
        pen.shape([(0.35 + side * 0.14, 0.5), (0.35 + side * 0.33, 0.82),
                   (0.35 + side * 0.12, 0.74)], tint.second)  # fmt: skip
    pen.oval(0.35, 0.44, 0.17 + 0.03 * tint.build, 0.4, tint.main)
    pen.shape([(0.19, 0.26), (0.35, 0.01), (0.51, 0.26)], tint.second)
    pen.box(0.2, 0.56, 0.5, 0.63, tint.second)
    pen.dot(0.35, 0.38, 0.1, tint.dark)
    pen.dot(0.35, 0.38, 0.075, GLASS)
    pen.box(0.24, 0.72, 0.46, 0.77, tint.dark)


def _kettle(pen: Pen, tint: Tint, phase: float) -> None:
    for puff in range(3):
        rise = (phase + puff / 3) % 1.0
        pen.dot(0.13 + 0.08 * wave(rise), 0.3 - 0.22 * rise, 0.05 + 0.05 * rise, SMOKE)
    pen.shape([(0.08, 0.36), (0.22, 0.34), (0.5, 0.66), (0.42, 0.8)], tint.second)
    pen.stroke([(0.42, 0.42), (0.5, 0.14), (0.94, 0.14), (1.02, 0.42)], 0.07, tint.dark)
    pen.oval(0.72, 0.66, 0.42, 0.3, tint.main)
    pen.box(0.4, 0.84, 1.04, 0.95, tint.dark)
    pen.oval(0.58, 0.56, 0.09, 0.14, tint.light, turn=25)
    pen.oval(0.72, 0.39, 0.27, 0.06, tint.second)
    pen.dot(0.72, 0.32 - 0.02 * abs(wave(2 * phase)), 0.06, tint.dark)


def _organ(pen: Pen, tint: Tint, phase: float) -> None:
    heights = (0.42, 0.56, 0.7, 0.78, 0.7, 0.56, 0.42)
    for pipe, tall in enumerate(heights):
        x = 0.1 + 0.13 * pipe
        tall += 0.03 * tint.build
        pen.box(x, 0.82 - tall, x + 0.105, 0.72, tint.main)
        pen.box(x + 0.015, 0.82 - tall, x + 0.045, 0.72, tint.light)
        pen.oval(x + 0.052, 0.62, 0.035, 0.025, tint.dark)
    pen.box(0.04, 0.7, 1.06, 0.98, tint.second)
    pen.box(0.1, 0.77, 1.0, 0.87, (240, 245, 248))
    for key in range(9):
        down = int(phase * 9) % 9 == key
        pen.box(0.13 + 0.098 * key, 0.77, 0.18 + 0.098 * key, 0.86 if down else 0.83, tint.dark)


def _cricket(pen: Pen, tint: Tint, phase: float) -> None:
    pen.stroke([(0.62, 0.62), (1.0, 0.12), (1.28, 0.92)], 0.09, tint.second)
    pen.stroke([(0.5, 0.66), (0.4, 0.92)], 0.05, tint.dark)
    pen.stroke([(0.72, 0.68), (0.72, 0.94)], 0.05, tint.dark)
    pen.oval(0.74, 0.58, 0.5, 0.15, tint.main, turn=6)
    pen.oval(0.86, 0.5 + 0.03 * wave(4 * phase), 0.42, 0.08, tint.light, turn=8)
    pen.dot(0.28, 0.5, 0.17, tint.main)
    pen.eye(0.22, 0.46, 0.07)
    pen.stroke([(0.22, 0.38), (0.1, 0.16 + 0.06 * wave(phase)), (0.34, 0.06)], 0.03, tint.dark)


def _tram(pen: Pen, tint: Tint, phase: float) -> None:
    pen.stroke([(0.7, 0.2), (0.9, 0.05), (1.1, 0.2)], 0.03, tint.dark)
    pen.box(0.08, 0.2, 1.72, 0.84, tint.main)
    pen.box(0.08, 0.16, 1.72, 0.24, tint.light)
    for window in range(5):
        pen.box(0.16 + 0.31 * window, 0.3, 0.4 + 0.31 * window, 0.52, GLASS)
    pen.box(0.08, 0.6, 1.72, 0.68, tint.second)
    pen.dot(1.66, 0.76, 0.05, (150, 240, 255) if wave(phase) > 0 else tint.second)
    for wheel in (0.34, 0.58, 1.22, 1.46):
        pen.dot(wheel, 0.88, 0.1, tint.dark)
        pen.dot(wheel, 0.88, 0.05, STEEL)


def _clock(pen: Pen, tint: Tint, phase: float) -> None:
    bob = 0.2 * wave(phase)
    pen.stroke([(0.45, 0.5), (0.45 + bob, 0.86)], 0.03, BRASS)
    pen.dot(0.45 + bob, 0.88, 0.1, BRASS)
    pen.dot(0.45, 0.4, 0.39, tint.main)
    pen.dot(0.45, 0.4, 0.31, tint.light)
    for hour in range(12):
        turn = math.pi * hour / 6
        pen.dot(0.45 + 0.26 * math.cos(turn), 0.4 + 0.26 * math.sin(turn), 0.025, tint.dark)
    for length, turn, width in ((0.17, tint.build, 0.05), (0.25, phase, 0.03)):
        angle = 2 * math.pi * turn
        pen.stroke([(0.45, 0.4), (0.45 + length * math.cos(angle), 0.4 + length * math.sin(angle))],
                   width, tint.dark)  # fmt: skip
    pen.dot(0.45, 0.4, 0.04, tint.second)


def _theremin(pen: Pen, tint: Tint, phase: float) -> None:
    pen.box(0.15, 0.56, 1.05, 0.9, tint.main)
    pen.box(0.2, 0.62, 1.0, 0.84, tint.second)
    pen.box(0.92, 0.06, 0.98, 0.58, STEEL)
    pen.dot(0.95, 0.07, 0.05, BRASS)
    pen.oval(0.12, 0.7, 0.1, 0.16, STEEL)
    pen.oval(0.15, 0.7, 0.06, 0.11, tint.main)
    for ring in range(3):
        reach = (phase + ring / 3) % 1.0
        x = 0.84 - 0.55 * reach
        pen.stroke([(x, 0.18), (x - 0.07, 0.3), (x, 0.42)], 0.045, tint.light)
    for knob in range(3):
        pen.dot(0.36 + 0.24 * knob, 0.73, 0.06, tint.dark)


@dataclass(frozen=True, slots=True)
class Look:
    """What defines how a class looks."""

    draw: Drawing
    aspect: float
    """Width of the sheet over its height."""
    main: tuple[float, float, float]
    """Hue, saturation, value that its main colour varies around."""
    second: tuple[float, float, float]
    move: str
    """A movement of `pipelines.demo.motion`."""
    texture: tuple[float, float] = (6.0, 0.08)
    """Size in pixels and depth of the speckle on it."""
    cycles_per_s: float = 1.5
    """How often its phase goes round in a second."""


LOOKS = {
    "Frog": Look(_frog, 1.2, (0.33, 0.75, 0.75), (0.30, 0.85, 0.5), "hop", (9, 0.25)),
    "Tugboat": Look(_tugboat, 1.6, (0.99, 0.8, 0.75), (0.6, 0.75, 0.5), "bob", cycles_per_s=1),
    "Hammer": Look(_hammer, 1.0, (0.02, 0.85, 0.8), (0.1, 0.3, 0.5), "swing", (3, 0.1)),
    "Marimba": Look(_marimba, 1.65, (0.05, 0.75, 0.6), (0.08, 0.7, 0.78), "still", (3, 0.2)),
    "Bumblebee": Look(_bumblebee, 1.4, (0.14, 0.9, 0.97), (0.1, 0.8, 0.9), "zigzag", (3, 0.2), 3),
    "Steam_train": Look(_steam_train, 1.8, (0.40, 0.6, 0.32), (0.0, 0.8, 0.7), "drive"),
    "Drill": Look(_drill, 1.6, (0.48, 0.8, 0.7), (0.02, 0.9, 0.9), "shake", cycles_per_s=4),
    "Drum": Look(_drum, 1.2, (0.97, 0.85, 0.8), (0.12, 0.8, 0.9), "still", cycles_per_s=2),
    "Owl": Look(_owl, 0.9, (0.075, 0.55, 0.5), (0.09, 0.35, 0.8), "tilt", (5, 0.35), 0.8),
    "Rocket": Look(_rocket, 0.7, (0.66, 0.08, 0.95), (0.76, 0.75, 0.7), "rise", cycles_per_s=3),
    "Kettle": Look(_kettle, 1.2, (0.56, 0.55, 0.8), (0.58, 0.65, 0.6), "shake", (14, 0.15)),
    "Organ": Look(_organ, 1.1, (0.125, 0.65, 0.85), (0.05, 0.7, 0.4), "still", (3, 0.12)),
    "Cricket": Look(_cricket, 1.4, (0.24, 0.7, 0.5), (0.22, 0.75, 0.38), "hop", (4, 0.25), 2),
    "Tram": Look(_tram, 1.8, (0.13, 0.85, 0.92), (0.0, 0.75, 0.7), "drive", cycles_per_s=1),
    "Clock": Look(_clock, 0.9, (0.07, 0.65, 0.45), (0.0, 0.8, 0.8), "still", cycles_per_s=0.8),
    "Theremin": Look(_theremin, 1.2, (0.8, 0.6, 0.55), (0.83, 0.4, 0.85), "tilt", cycles_per_s=1.2),
}
"""The look of each class by name."""
