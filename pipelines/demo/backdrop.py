"""Backgrounds: five kinds of scenery with clutter that belongs to no class."""

from collections.abc import Callable

import cv2
import numpy as np

from pipelines.demo.pen import Colour, Image, Pen, colour, speckle

MARGIN = 1.5
"""A backdrop is this much larger than the frame, so that the camera can travel."""


def _soft(rng: np.random.Generator, value: tuple[float, float] = (0.35, 0.85)) -> Colour:
    return colour(rng.uniform(), rng.uniform(0.03, 0.22), rng.uniform(*value))


def _gradient(height: int, width: int, top: Colour, bottom: Colour) -> Image:
    column = np.linspace(top, bottom, height)[:, None, :]
    return np.repeat(column, width, axis=1).astype(np.uint8)


def _hills(rng: np.random.Generator, height: int, width: int) -> Image:
    sky = colour(rng.uniform(0.5, 0.65), rng.uniform(0.1, 0.3), rng.uniform(0.7, 0.95))
    image = _gradient(height, width, sky, _soft(rng, (0.8, 0.95)))
    steps = np.arange(0, width + 8, 8)
    for ridge in range(3):
        phases = rng.uniform(0, 2 * np.pi, 2)
        line = np.sin(steps / rng.uniform(25, 70) + phases[0]) + np.sin(steps / 90 + phases[1])
        tops = height * (0.5 + 0.15 * ridge) + 0.05 * height * line
        land = np.array([*zip(steps, tops, strict=True), (width + 8, height), (0, height)])
        shade = colour(rng.uniform(0.15, 0.45), rng.uniform(0.1, 0.25), 0.75 - 0.12 * ridge)
        cv2.fillPoly(image, [land.astype(np.int32)], shade, cv2.LINE_AA)
    return image


def _room(rng: np.random.Generator, height: int, width: int) -> Image:
    wall, floor = _soft(rng, (0.5, 0.9)), _soft(rng, (0.25, 0.6))
    image = _gradient(height, width, wall, wall)
    stripe = int(rng.integers(14, 40))
    paper = tuple(min(255, part + 14) for part in wall)
    for x in range(0, width, 2 * stripe):
        cv2.rectangle(image, (x, 0), (x + stripe, height), paper, -1)
    horizon = int(height * rng.uniform(0.62, 0.78))
    image[horizon:] = _gradient(height - horizon, width, floor, _soft(rng, (0.2, 0.5)))
    cv2.line(image, (0, horizon), (width, horizon), (235, 235, 235), 3, cv2.LINE_AA)
    return image


def _fog(rng: np.random.Generator, height: int, width: int) -> Image:
    base = _gradient(height, width, _soft(rng), _soft(rng)).astype(np.float32)
    for grain in (90, 35, 12):
        base *= speckle(rng, height, width, grain, 0.12)[..., None]
    return np.clip(base, 0, 255).astype(np.uint8)


def _tiles(rng: np.random.Generator, height: int, width: int) -> Image:
    size = int(rng.integers(22, 56))
    first, other = _soft(rng), _soft(rng)
    pair = np.array([first, [round(0.6 * a + 0.4 * b) for a, b in zip(first, other, strict=True)]])
    rows, columns = np.arange(height) // size, np.arange(width) // size
    return pair[(rows[:, None] + columns[None, :]) % 2].astype(np.uint8)


def _bokeh(rng: np.random.Generator, height: int, width: int) -> Image:
    image = _gradient(height, width, _soft(rng, (0.15, 0.4)), _soft(rng, (0.1, 0.3)))
    for _ in range(22):
        layer = image.copy()
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(layer, centre, int(rng.integers(8, 40)), _soft(rng, (0.5, 0.9)), -1, cv2.LINE_AA)
        image = np.asarray(cv2.addWeighted(layer, 0.25, image, 0.75, 0), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 3), dtype=np.uint8)


SCENERIES: tuple[Callable[[np.random.Generator, int, int], Image], ...] = (
    _hills, _room, _fog, _tiles, _bokeh,
)  # fmt: skip


def paint_backdrop(rng: np.random.Generator, height: int, width: int, clutter: int) -> Image:
    """Return a background, BGR uint8 [height, width, 3], with `clutter` shapes of no class."""
    scenery = SCENERIES[int(rng.integers(len(SCENERIES)))]
    image = scenery(rng, height, width)
    for _ in range(clutter):
        _add_clutter(image, rng)
    grained = image * speckle(rng, height, width, 1.5, 0.05)[..., None]
    return np.clip(grained, 0, 255).astype(np.uint8)


def _add_clutter(image: Image, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    centre = np.array([rng.integers(0, width), rng.integers(0, height)])
    reach = rng.uniform(0.04, 0.13) * height
    fill = colour(rng.uniform(), rng.uniform(0.05, 0.35), rng.uniform(0.25, 0.9))
    corners = int(rng.integers(3, 8))
    turns = np.sort(rng.uniform(0, 2 * np.pi, corners))
    spread = reach * rng.uniform(0.6, 1.3, corners)
    outline = centre + np.stack([np.cos(turns), np.sin(turns)], axis=1) * spread[:, None]
    cv2.fillPoly(image, [outline.astype(np.int32)], fill, cv2.LINE_AA)


def draw_decoy(rng: np.random.Generator, height_px: int) -> Image:
    """Return a ring, a cross or a lattice, an object of no class, as a transparent sheet."""
    pen = Pen(height_px, 1.0)
    fill = colour(rng.uniform(), rng.uniform(0.1, 0.5), rng.uniform(0.4, 0.95))
    kind = int(rng.integers(3))
    if kind == 0:
        turns = np.linspace(0, 2 * np.pi, 40)
        ring = [(0.5 + 0.38 * float(np.cos(t)), 0.5 + 0.38 * float(np.sin(t))) for t in turns]
        pen.stroke(ring, 0.12, fill)
    elif kind == 1:
        pen.stroke([(0.15, 0.15), (0.85, 0.85)], 0.16, fill)
        pen.stroke([(0.85, 0.15), (0.15, 0.85)], 0.16, fill)
    else:
        for step in range(4):
            offset = 0.15 + 0.23 * step
            pen.stroke([(offset, 0.1), (offset, 0.9)], 0.06, fill)
            pen.stroke([(0.1, offset), (0.9, offset)], 0.06, fill)
    return pen.shaded()
