"""Drawing tools: a pen on a transparent sheet, and the colours of one object.

A sheet is uint8 [H, W, 4]: blue, green, red, each already multiplied by the fourth, the coverage.
Coordinates are shares of the sheet's height: y in 0..1 from the top, x in 0..aspect.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
"""Blue, green, red in 0..255."""
Point = tuple[float, float]

_SUBPIXEL = 4  # cv2 draws in sixteenths of a pixel


def colour(hue: float, saturation: float, value: float) -> Colour:
    """Return a colour from hue (in turns, wraps), saturation and value (cut to 0..1).

    >>> colour(0.0, 1.0, 1.0)
    (0, 0, 255)
    """
    red, green, blue = colorsys.hsv_to_rgb(
        hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    )
    return round(255 * blue), round(255 * green), round(255 * red)


@dataclass(frozen=True, slots=True)
class Tint:
    """The colours and the build of one object of a class."""

    main: Colour
    second: Colour
    light: Colour
    dark: Colour
    build: float
    """0..1, varies the proportions within the class."""


def mix_tint(
    rng: np.random.Generator, main: tuple[float, float, float], second: tuple[float, float, float]
) -> Tint:
    """Return random colours around two (hue, saturation, value)."""
    shift, richer, brighter = rng.uniform(-1, 1, 3)

    def near(hsv: tuple[float, float, float]) -> Colour:
        return colour(
            hsv[0] + 0.03 * shift, hsv[1] * (1 + 0.15 * richer), hsv[2] * (1 + 0.1 * brighter)
        )

    return Tint(
        main=near(main),
        second=near(second),
        light=colour(main[0] + 0.03 * shift, 0.15, 0.97),
        dark=colour(main[0] + 0.03 * shift, 0.5, 0.16),
        build=float(rng.uniform()),
    )


class Pen:
    """Draws filled shapes with soft edges on a fresh transparent sheet."""

    def __init__(self, height_px: int, aspect: float) -> None:
        self.height = height_px
        self.sheet: Image = np.zeros((height_px, round(height_px * aspect), 4), np.uint8)

    def _fixed(self, points: Sequence[Point]) -> NDArray[np.int32]:
        scaled = np.asarray(points, dtype=np.float64) * (self.height << _SUBPIXEL)
        return np.round(scaled).astype(np.int32)

    def shape(self, points: Sequence[Point], fill: Colour) -> None:
        """Draw a filled polygon."""
        cv2.fillPoly(self.sheet, [self._fixed(points)], (*fill, 255), cv2.LINE_AA, _SUBPIXEL)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """Draw a filled upright rectangle."""
        self.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)

    def oval(
        self, x: float, y: float, rx: float, ry: float, fill: Colour, *, turn: float = 0.0
    ) -> None:
        """Draw a filled ellipse around (x, y), turned clockwise by `turn` degrees."""
        centre, axes = self._fixed([(x, y), (rx, ry)])
        cv2.ellipse(
            self.sheet, centre.tolist(), axes.tolist(), turn, 0, 360, (*fill, 255), -1,
            cv2.LINE_AA, _SUBPIXEL,
        )  # fmt: skip

    def dot(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """Draw a filled circle."""
        self.oval(x, y, radius, radius, fill)

    def stroke(self, points: Sequence[Point], width: float, fill: Colour) -> None:
        """Draw an open line with round corners."""
        cv2.polylines(
            self.sheet, [self._fixed(points)], False, (*fill, 255),
            max(1, round(width * self.height)), cv2.LINE_AA, _SUBPIXEL,
        )  # fmt: skip

    def eye(self, x: float, y: float, radius: float, look: float = 0.0) -> None:
        """Draw an eye; `look` in -1..1 moves the pupil sideways."""
        self.dot(x, y, radius, (245, 248, 250))
        self.dot(x + 0.35 * radius * look, y, 0.55 * radius, (20, 20, 24))
        self.dot(x + 0.35 * radius * look - 0.15 * radius, y - 0.2 * radius, 0.18 * radius,
                 (255, 255, 255))  # fmt: skip

    def shaded(self, texture: NDArray[np.float32] | None = None) -> Image:
        """Return the sheet, lit from above, times `texture` [H, W] where there is one."""
        light = np.linspace(1.1, 0.72, self.height, dtype=np.float32)[:, None]
        factor = light * texture if texture is not None else light
        lit = np.minimum(self.sheet[..., :3] * factor[..., None], self.sheet[..., 3:])
        return np.concatenate([lit.astype(np.uint8), self.sheet[..., 3:]], axis=2)


def speckle(
    rng: np.random.Generator, height: int, width: int, grain_px: float, depth: float
) -> NDArray[np.float32]:
    """Return blurred noise around 1, blobs of about `grain_px`, float32 [height, width]."""
    rows, columns = max(2, round(height / grain_px)), max(2, round(width / grain_px))
    coarse = rng.uniform(1 - depth, 1 + depth, (rows, columns)).astype(np.float32)
    return np.asarray(
        cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32
    )
