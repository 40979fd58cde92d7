"""How components are given to a source: the rules of a mask, and their numbers."""

from typing import Literal

MaskRule = Literal["contest", "hard", "soft"]
MASK_RULES: tuple[MaskRule, ...] = ("contest", "hard", "soft")
"""Every rule, in the order of tables."""
TAU = 0.1
"""Scaled score from which on a component belongs to the source, with a hard mask."""
TEMPERATURE = 0.1
"""Of the softmax of a contest. Chosen on mixtures of another demo world than those of the docs."""
