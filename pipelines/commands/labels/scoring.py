"""The work of `beam run labels`: stored embeddings times captions, and the table of their scores.

Letters: N clips, T seconds, C classes, W width of the space.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from extractors.base import LoadOptions
from extractors.nets.contrastive import TextVectors, text_vectors
from pipelines.commands.labels.captions import Caption, captions_of, read_captions
from pipelines.commands.labels.clips import LabelledClip, label_rows, open_store, read_clips
from pipelines.commands.labels.command import Options
from pipelines.store.feature_store import FeatureStore
from pipelines.store.locking import locked
from schemas import SNIPPETS, Recipe, UsageError, tensor_values
from schemas.events import Modality
from schemas.features import FEATURES
from schemas.machine.programs import command
from schemas.settings import screen

TEACHERS: Mapping[Modality, str] = {"audio": "clap", "visual": "clip"}
"""Stored feature by which each modality is scored."""
Scores = NDArray[np.float32]


def score_store(options: Options) -> int:
    """Score all clips of a store and replace its table `pseudo_labels`."""
    store, manifest = open_store(options.out)
    recipe = _recipe(store, manifest)
    names = manifest["vocabulary"]
    pretrained = recipe.weights == "pretrained"
    captions = (
        captions_of(names, pretrained=pretrained)
        if options.captions is None
        else read_captions(Path(options.captions), names)
    )
    folder = None if options.weights_dir is None else Path(options.weights_dir)
    load = LoadOptions(weights=recipe.weights, weights_dir=folder)
    with locked(store.out):
        clips = read_clips(store, manifest)
        rows: list[pa.Table] = []
        weights: dict[str, str] = {}
        for modality, teacher in TEACHERS.items():
            texts = text_vectors(teacher, [one.text for one in captions[modality]], load)
            weights |= texts.provenance
            logits = _logits(store, manifest, teacher, texts)
            scores = class_scores(clips, logits, captions[modality], names)
            rows += [label_rows(clip, modality, names, scores[clip.key]) for clip in clips]
        source = {"source": "CLIP and CLAP", "weights": recipe.weights, "files": weights}
        store.replace_pseudo_labels(pa.concat_tables(rows), source)
    _print(options.out, clips, rows, recipe.weights)
    return 0


def _recipe(store: FeatureStore, manifest: Mapping[str, Any]) -> Recipe:
    """Return the store's recipe; `UsageError` when it has not both embeddings."""
    recipe = Recipe.from_json(manifest["recipe"])
    lacking = [name for name in TEACHERS.values() if name not in recipe.extractors]
    if lacking:
        every = ",".join([*recipe.extractors, *lacking])
        raise UsageError(
            f"{store.out} has no feature {' and no '.join(lacking)}; make a store with them, "
            f"--extractors {every}, or bring labels in with beam import-labels"
        )
    return recipe


def _logits(
    store: FeatureStore, manifest: Mapping[str, Any], teacher: str, texts: TextVectors
) -> dict[str, Scores]:
    """Return the logits of every second by clip, [T, C]; -inf where a second is absent."""
    parts: dict[str, list[tuple[int, Scores]]] = {}
    shape = FEATURES[teacher].shape
    for table in store.read_rows(manifest, SNIPPETS, ["clip_key", "snippet_index", teacher]):
        values, present = tensor_values(table[teacher].combine_chunks(), shape)
        found = texts.scale * (values @ texts.vectors.T)
        found[~present] = -np.inf
        keys, seconds = table["clip_key"].to_pylist(), table["snippet_index"].to_pylist()
        for key, second, line in zip(keys, seconds, found, strict=True):
            parts.setdefault(key, []).append((second, line))
    return {
        key: np.stack([line for _, line in sorted(lines, key=lambda line: line[0])])
        for key, lines in parts.items()
    }


def class_scores(
    clips: Sequence[LabelledClip], logits: Mapping[str, Scores], captions: Sequence[Caption],
    names: Sequence[str],
) -> dict[str, Scores]:  # fmt: skip
    """Return the scores of every second by clip, [T, C]: 0 for what is no weak label."""
    weak = {clip.key: np.array([name in clip.labels for name in names]) for clip in clips}
    threshold = np.array(
        [
            _measured([logits[clip.key][:, place] for clip in clips if not weak[clip.key][place]])
            if caption.threshold is None
            else caption.threshold
            for place, caption in enumerate(captions)
        ],
        np.float32,
    )
    with np.errstate(over="ignore"):
        return {
            clip.key: (weak[clip.key] / (1.0 + np.exp(threshold - logits[clip.key]))).astype(
                np.float32
            )
            for clip in clips
        }


def _measured(columns: Sequence[NDArray[np.float32]]) -> float:
    """Return mean plus one standard deviation of a class's logits where it is no weak label."""
    values = np.concatenate([np.zeros(0, np.float32), *columns])
    values = values[np.isfinite(values)]
    return float(values.mean() + values.std()) if len(values) else 0.0


def _print(out: str, clips: Sequence[LabelledClip], rows: Sequence[pa.Table], weights: str) -> None:
    table = pa.concat_tables(rows)
    console = screen.results()
    for modality in TEACHERS:
        scores = table["score"].to_numpy()[np.array(table["modality"]) == modality]
        share = 100 * float((scores > 0.5).mean()) if len(scores) else 0.0
        console.print(
            f"{out}: {modality} labels of {len(clips):,} clips, {share:.1f} % of the seconds of "
            "weak labels are positive"
        )
    if weights != "pretrained":
        console.print(f"The nets have random weights ({weights}): the labels say nothing.")
    console.print(f"Next: {command('models/train.py', 'valor', '--features', out)}", soft_wrap=True)
