"""Some clips of `predictions.parquet` beside what is so: the worst, the best, and random ones.

Letters: N clips, T seconds, C classes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.contract.report import ClipTimeline, TimelineRow
from models.data.source import ClipSource

EACH = 3
"""Clips of each kind."""
MOST_ROWS = 10
"""Classes that a timeline shows."""

Clips = dict[str, list[str]]


def shown_split(splits: Iterable[str]) -> str | None:
    """Return the split that a page shows: `test`, or the last of the others but `train`.

    >>> shown_split(["train", "val"]), shown_split(["train"])
    ('val', None)
    """
    held = sorted(set(splits) - {"train"})
    return "test" if "test" in held else held[-1] if held else None


def choose(keys: Sequence[str], scores: Sequence[float], seed: int = 0) -> Clips:
    """Return keys of the clips with the lowest scores, the highest, and some drawn at random.

    No clip comes twice; of few clips the worst come first.

    >>> choose(["a", "b", "c", "d"], [0.5, 0.1, 0.9, 0.2])
    {'worst': ['b', 'd', 'a'], 'best': ['c'], 'random': []}
    """
    order = np.argsort(np.asarray(scores), kind="stable").tolist()
    worst = order[:EACH]
    best = order[EACH:][::-1][:EACH]
    rest = sorted(set(range(len(keys))) - {*worst, *best})
    drawn = np.random.default_rng(seed).permutation(rest)[:EACH].tolist() if rest else []
    kinds = {"worst": worst, "best": best, "random": drawn}
    return {kind: [keys[int(place)] for place in places] for kind, places in kinds.items()}


def f_score(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return F of decisions, both of one shape; 1 where nothing is so and nothing is found.

    >>> f_score(np.array([True, True]), np.array([True, False]))
    0.6666666666666666
    """
    total = int(predicted.sum() + truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else 1.0


def read(path: Path, columns: Sequence[str]) -> pa.Table | None:
    """Return some columns of the split that a page shows; None where there is no such split."""
    splits = pq.read_table(path, columns=["split"])["split"]
    split = shown_split(pc.unique(splits).to_pylist())
    if split is None:
        return None
    return pq.read_table(path, columns=list(columns), filters=[("split", "=", split)])


def class_names(path: Path) -> list[str]:
    """Return the classes of the scores in a file of predictions, in order."""
    names: list[str] = json.loads(pq.read_schema(path).metadata[b"classes"])
    return names


def parsing_timelines(path: Path, clips: ClipSource) -> dict[str, list[ClipTimeline]]:
    """Return clips of a parsing net by kind; truth by second where the store has it."""
    table = read(path, ["clip_key", "second", "heard", "seen"])
    if table is None:
        return {}
    row_of = {key: row for row, key in enumerate(clips.keys)}
    held: dict[str, list[dict[str, Any]]] = {}
    for line in table.to_pylist():
        held.setdefault(line["clip_key"], []).append(line)
    keys = [key for key in held if key in row_of]
    names = class_names(path)
    scores = []
    for key in keys:
        decided = {
            side: _hot([line[column] for line in held[key]], names)
            for side, column in (("audio", "heard"), ("visual", "seen"))
        }
        scores.append(_parsed_f(decided, clips, row_of[key]))
    chosen = choose(keys, scores)
    wanted = [key for kind in chosen.values() for key in kind]
    lines = pq.read_table(path, filters=[("clip_key", "in", wanted or [""])]).to_pylist()
    by_key = dict(zip(keys, scores, strict=True))
    return {
        kind: [
            _parsed(key, [line for line in lines if line["clip_key"] == key], names, clips,
                    row_of[key], by_key[key])
            for key in members
        ]
        for kind, members in chosen.items()
    }  # fmt: skip


def _hot(labels: Sequence[Sequence[str]], names: Sequence[str]) -> NDArray[np.bool_]:
    """Return lists of names as bool [T, C]."""
    place = {name: column for column, name in enumerate(names)}
    hot = np.zeros((len(labels), len(names)), np.bool_)
    for row, own in enumerate(labels):
        hot[row, [place[name] for name in own if name in place]] = True
    return hot


def _parsed_f(decided: Mapping[str, NDArray[np.bool_]], clips: ClipSource, row: int) -> float:
    """Return F over seconds of both modalities; over classes where there is no dense truth."""
    if _is_dense(clips, row):
        pairs = [(values, clips.truth[side][row]) for side, values in decided.items()]
        return f_score(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
    found = np.any([values.any(axis=0) for values in decided.values()], axis=0)
    return f_score(found, clips.labels[row].cpu().numpy() > 0.5)


def _is_dense(clips: ClipSource, row: int) -> bool:
    return bool(clips.truth) and str(clips.splits[row]) in clips.dense_splits


def _parsed(
    key: str, lines: Sequence[Mapping[str, Any]], names: Sequence[str], clips: ClipSource,
    row: int, score: float,
) -> ClipTimeline:  # fmt: skip
    rows = []
    for side, column in (("audio", "heard"), ("visual", "seen")):
        decided = _hot([line[column] for line in lines], names)
        probability = np.array([line[side] for line in lines], np.float32)
        truth = clips.truth[side][row] if _is_dense(clips, row) else None
        there = decided if truth is None else decided | truth[: len(decided)]
        shown = set(np.flatnonzero(there.any(axis=0)).tolist())
        if not shown and probability.size:
            shown = {int(probability.max(axis=0).argmax())}
        surest = sorted(shown, key=lambda index: -float(probability[:, index].max()))
        rows += [
            TimelineRow(
                label=names[index], modality=side,
                truth=None if truth is None else truth[: len(decided), index].tolist(),
                predicted=decided[:, index].tolist(), probability=probability[:, index].tolist(),
            )
            for index in surest[:MOST_ROWS]
        ]  # fmt: skip
    return ClipTimeline(key=key, f_score=score, labels=labels_of(clips, row), rows=rows)


def labels_of(clips: ClipSource, row: int) -> list[str]:
    """Return the weak labels of a clip."""
    hot = np.flatnonzero(clips.labels[row].cpu().numpy() > 0.5)
    return [clips.vocabulary.names[index] for index in hot]


def tagging_timelines(path: Path, clips: ClipSource) -> dict[str, list[ClipTimeline]]:
    """Return clips of a tagging net by kind; a row has one value for the whole clip."""
    table = read(path, ["clip_key", "predicted"])
    if table is None:
        return {}
    row_of = {key: row for row, key in enumerate(clips.keys)}
    names = class_names(path)
    held = {line["clip_key"]: line["predicted"] for line in table.to_pylist()}
    keys = [key for key in held if key in row_of]
    scores = [
        f_score(_hot([held[key]], names)[0], clips.labels[row_of[key]].cpu().numpy() > 0.5)
        for key in keys
    ]
    chosen = choose(keys, scores)
    wanted = [key for kind in chosen.values() for key in kind]
    found = pq.read_table(
        path, columns=["clip_key", "scores"], filters=[("clip_key", "in", wanted or [""])]
    ).to_pylist()
    values = {line["clip_key"]: line["scores"] for line in found}
    by_key = dict(zip(keys, scores, strict=True))
    return {
        kind: [
            _tagged(key, values[key], held[key], names, labels_of(clips, row_of[key]), by_key[key])
            for key in members
        ]
        for kind, members in chosen.items()
    }


def _tagged(
    key: str, values: Sequence[float], predicted: Sequence[str], names: Sequence[str],
    labels: Sequence[str], score: float,
) -> ClipTimeline:  # fmt: skip
    order = np.argsort(-np.asarray(values), kind="stable")
    shown = [index for index in order if names[index] in labels or names[index] in predicted]
    rows = [
        TimelineRow(
            label=names[index], modality="clip", truth=[names[index] in labels],
            predicted=[names[index] in predicted], probability=[float(values[index])],
        )
        for index in (shown or order[:1])[:MOST_ROWS]
    ]  # fmt: skip
    return ClipTimeline(key=key, f_score=score, labels=labels, rows=rows)
