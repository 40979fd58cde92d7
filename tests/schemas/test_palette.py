"""The colours of figures and pages stay apart for every colour vision, and there is one place."""

import itertools
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.page import palette
from tests.places import ROOT

# What people without one kind of cones see, in linear RGB: Machado, Oliveira, Fernandes, "A
# Physiologically-based Model for Simulation of Color Vision Deficiency", 2009, severity 1.0.
VISIONS = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip
WHITE = TO_XYZ @ np.ones(3)


def lab(colour: str, vision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return CIE L*a*b* of a colour as somebody sees it."""
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(vision @ linear, 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(first: str, second: str, vision: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(lab(first, vision) - lab(second, vision)))


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_of_a_figure_stay_apart(vision: str) -> None:
    pairs = itertools.combinations(palette.SERIES, 2)
    assert min(distance(*pair, VISIONS[vision]) for pair in pairs) > 11
    assert distance(palette.TRUTH, palette.PREDICTION, VISIONS[vision]) > 60


def test_matplotlibs_own_colours_would_not_pass() -> None:
    assert distance("#2ca02c", "#d62728", VISIONS["deuteranopia"]) < 25


@pytest.mark.parametrize("room", ["models", "tests/bench"])
def test_figures_take_their_colours_from_the_palette(room: str) -> None:
    others = {
        str(path.relative_to(ROOT))
        for path in (ROOT / room).rglob("*.py")
        if re.search(r'"#[0-9a-fA-F]{3,8}"|"C\d"|coolwarm|magma|viridis|cmap="', path.read_text())
    }
    assert others == set()
