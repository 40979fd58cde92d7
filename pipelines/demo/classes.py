"""The small ontology of the demo world: sixteen friendly classes in four families.

The order interleaves the families, so that the first `n` classes are a fair choice for every `n`.
`weight` skews how often a class occurs; `modes` says how its events divide into heard and seen,
only heard, and only seen, so that some classes are rarely visible and some rarely audible, as in
real clips.
"""

from dataclasses import dataclass

FAMILIES = ("creature", "vehicle", "tool", "instrument")


@dataclass(frozen=True, slots=True)
class DemoClass:
    """One class of the demo world and the bias of its events."""

    name: str
    family: str
    """One of `FAMILIES`."""
    weight: float
    """How often it occurs, relative to the others."""
    modes: tuple[float, float, float] = (0.6, 0.22, 0.18)
    """Shares of its events that are heard and seen, only heard, only seen; they sum to 1."""


CLASSES = (
    DemoClass("Frog", "creature", 1.6),
    DemoClass("Tugboat", "vehicle", 1.0, (0.5, 0.15, 0.35)),
    DemoClass("Hammer", "tool", 1.3),
    DemoClass("Marimba", "instrument", 1.2),
    DemoClass("Bumblebee", "creature", 0.9, (0.35, 0.6, 0.05)),
    DemoClass("Steam_train", "vehicle", 1.4),
    DemoClass("Drill", "tool", 0.7),
    DemoClass("Drum", "instrument", 2.4, (0.7, 0.2, 0.1)),
    DemoClass("Owl", "creature", 0.8, (0.25, 0.65, 0.1)),
    DemoClass("Rocket", "vehicle", 0.7, (0.3, 0.05, 0.65)),
    DemoClass("Kettle", "tool", 1.0),
    DemoClass("Organ", "instrument", 0.6, (0.6, 0.3, 0.1)),
    DemoClass("Cricket", "creature", 0.8, (0.2, 0.7, 0.1)),
    DemoClass("Tram", "vehicle", 1.0),
    DemoClass("Clock", "tool", 0.9, (0.35, 0.05, 0.6)),
    DemoClass("Theremin", "instrument", 0.6),
)
"""Every class; a world of `n` classes takes the first `n`."""

FAMILY = {kind.name: kind.family for kind in CLASSES}
"""Family of each class."""
