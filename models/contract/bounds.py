"""Which values the settings of a net take: the bounds of `schemas.settings`, and names for some."""

from typing import Annotated

from schemas.settings.bounds import Above, AtLeast, Below, Between, Bound, Even, ZeroOr, check

__all__ = [
    "Above",
    "AtLeast",
    "Below",
    "Between",
    "Bound",
    "Cosine",
    "Dropout",
    "Even",
    "Rate",
    "Seed",
    "Share",
    "Size",
    "Weight",
    "ZeroOr",
    "check",
]

Size = Annotated[int, AtLeast(1)]
"""A number of things of which there must be one: units, layers, clips, epochs."""
Share = Annotated[float, Between(0, 1)]
"""A share of a whole."""
Dropout = Annotated[float, Below(0, 1)]
"""Probability that a unit is dropped in training."""
Rate = Annotated[float, Above(0)]
"""A positive factor."""
Weight = Annotated[float, AtLeast(0)]
"""Weight of a term of a loss."""
Cosine = Annotated[float, Between(-1, 1)]
"""A cosine, as of two feature vectors."""
Seed = Annotated[int, Between(0, 2**32 - 1)]
"""Seed of random numbers."""
