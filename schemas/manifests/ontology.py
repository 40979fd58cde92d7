"""AudioSet's own files about its classes: `ontology.json` and `qa_true_counts.csv`.

The ontology (Gemmeke et al., ICASSP 2017) says which class is a kind of which: a class may have
several parents. The counts say of how many rated labels of a class the raters found that they hold.
"""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.failure import UsageError
from schemas.manifests.audioset import display_names
from schemas.manifests.lines import comma_fields, parse_lines
from schemas.messages import listed, quoted

ONTOLOGY_HOME = "published at github.com/audioset/ontology"


@dataclass(frozen=True)
class Ontology:
    """Sound classes by name, each with the more special ones right below it."""

    children: Mapping[str, tuple[str, ...]]

    def ancestors(self, classes: Sequence[str]) -> NDArray[np.bool_]:
        """Return which class each is a kind of, [C, C]: row is it, column what it is.

        A class is a kind of itself. Classes between two that are not among `classes` count as way.
        """
        parents: dict[str, list[str]] = {name: [] for name in self.children}
        for name, below in self.children.items():
            for child in below:
                parents[child].append(name)
        return np.array([self._reached(name, classes, parents) >= 0 for name in classes])

    def distances(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """Return the steps of the shortest way from class to class, up or down, [C, C].

        One more than the longest way where there is none.
        """
        beside: dict[str, list[str]] = {name: list(below) for name, below in self.children.items()}
        for name, below in self.children.items():
            for child in below:
                beside[child].append(name)
        steps = np.array([self._reached(name, classes, beside) for name in classes])
        return np.where(steps < 0, steps.max(initial=0) + 1, steps)

    def depths(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """Return how far below a class without parents each class is at least, [C]; from 1."""
        below = {child for children in self.children.values() for child in children}
        tops = [name for name in self.children if name not in below]
        ways = np.array([self._reached(top, classes, self.children) for top in tops])
        far = np.where(ways < 0, len(self.children), ways)
        return np.asarray(far.min(axis=0, initial=len(self.children)) + 1, np.int64)

    @staticmethod
    def _reached(
        start: str, classes: Sequence[str], ways: Mapping[str, Sequence[str]]
    ) -> NDArray[np.int64]:
        """Return the steps from one class to each of `classes`, [C]; -1 where no way leads."""
        steps, waiting = {start: 0}, deque([start])
        while waiting:
            name = waiting.popleft()
            for other in ways[name]:
                if other not in steps:
                    steps[other] = steps[name] + 1
                    waiting.append(other)
        return np.array([steps.get(name, -1) for name in classes], np.int64)


def read_ontology(path: Path, classes: Sequence[str]) -> Ontology:
    """Read `ontology.json`; `UsageError` for another file, or one that lacks some of `classes`."""
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror} ({ONTOLOGY_HOME})") from None
    except ValueError as error:
        raise UsageError(f"{path} is not readable JSON ({error}); {ONTOLOGY_HOME}") from None
    try:
        names = {node["id"]: node["name"] for node in nodes}
        children = {
            node["name"]: tuple(names[child] for child in node["child_ids"]) for node in nodes
        }
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is no ontology of sound classes ({_why(error)}): it should be a list of "
            f"classes with id, name and the child_ids of others in it; {ONTOLOGY_HOME}"
        ) from None
    lacking = [name for name in classes if name not in children]
    if lacking:
        raise UsageError(
            f"{path} lacks {len(lacking)} of the {len(classes)} classes ({listed(lacking, 5)}); it "
            "takes a store whose labels are AudioSet's, or an ontology of your classes"
        )
    return Ontology(children)


def _why(error: Exception) -> str:
    return f"no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)


def read_label_quality(path: Path, classes: Sequence[str]) -> NDArray[np.float64]:
    """Return the share of each class's rated labels that hold, [C]; NaN where none was rated.

    Classes are named by their mids, whose names stand in `class_labels_indices.csv` beside the
    file. `UsageError` for another file, or one that rates none of `classes`.
    """
    display = display_names(path.parent)

    def parse(line: str) -> tuple[str, float]:
        mid, *counts = comma_fields(line)
        if len(counts) != 2 or not all(count.isdecimal() for count in counts):
            raise ValueError("after the mid stand two counts")
        rated, true = map(int, counts)
        if mid not in display:
            raise ValueError(f"unknown label {quoted(mid)}")
        if true > rated:
            raise ValueError(f"{true} of {rated} cannot hold")
        return display[mid], true / rated if rated else float("nan")

    expected = "<mid>,<number rated>,<number true> with a known mid"
    held: dict[str, Any] = dict(
        parse_lines(path, parse, expected, header="label_id,num_rated,num_true")
    )
    if not set(held) & set(classes):
        raise UsageError(
            f"{path} rates none of the store's classes ({listed(classes, 5)}); it is for stores "
            "whose labels are AudioSet's"
        )
    return np.array([held.get(name, float("nan")) for name in classes])
