"""How components are given to a source: the rules of a mask, and its threshold."""

from typing import Literal

MaskRule = Literal["hard", "soft"]
TAU = 0.1
"""Scaled score from which on a component belongs to the source, with a hard mask."""
