"""Everything by which a number is not the paper's: what `results.json` calls caveats."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from models import registry
from models.contract.card import Experiment, ModelCard
from models.contract.config import TrainConfig
from models.data.source import SPLITS, ClipSource
from models.runtime import files
from schemas import FEATURES, RECIPES, StoreManifest
from schemas.features import WITHOUT_WEIGHTS, extractor_of
from schemas.labels import PSEUDO_LABELS

FREE_SETTINGS = (
    "seed", "device", "classes", "small", "audio_run", "visual_run", "stream", "buffer_clips",
    "workers", "ontology",
)  # fmt: skip
"""Settings that may differ from the experiment's without making it another experiment."""
OURS = (
    "precision", "accumulate", "threshold", "fixed_threshold", "unlabelled", "balanced",
    "label_quality",
)  # fmt: skip
"""Settings that no paper states."""
PAPERS_FRAMES = RECIPES["llp-eccv20"].frames_per_second
"""Frames of a second that the papers' features of pictures are made from."""
LEAST_COVERAGE = 0.95
"""Share of the test and of the training clips from which on a number stands for the data set."""


def caveats(
    data: ClipSource,
    card: ModelCard,
    experiment: Experiment,
    config: TrainConfig,
    *,
    fused: Mapping[str, Path] | None = None,
    fold: tuple[int, str] | None = None,
) -> list[str]:
    """Return why the scores cannot be compared with the paper's, one sentence each.

    `fused` names the run folders whose scores the net reads; their caveats are its own. `fold` is
    that of a cross-validation.
    """
    manifest = data.manifest
    recipe = manifest.data["recipe"]
    read = set(registry.load(card.name).features(config))
    reasons = made_otherwise(recipe, read)
    if registry.load(card.name).pseudo_labels:
        reasons += labelled_otherwise(manifest)
    reasons += other_truth(data, card)
    if manifest.dataset != card.dataset:
        reasons.append(f"the data set is {manifest.dataset}, the paper's is {card.dataset}")
    else:
        reasons += other_clips(manifest, card)
    frames = recipe.get("frames_per_second", PAPERS_FRAMES)
    if frames != PAPERS_FRAMES and any(_of_frames(need) for need in read or card.needs):
        reasons.append(
            f"the recipe {recipe.get('name')} takes frames at {frames} a second, the papers' at "
            f"{PAPERS_FRAMES}"
        )
    if fold is not None:
        reasons.append(f"the test clips are fold {fold[1]} of {fold[0]}, not the data set's own")
    if getattr(config, "threshold", "fixed") != "fixed" and not data.has("val"):
        reasons.append("there are no validation clips, so thresholds are tuned on training clips")
    reasons += [one.says for one in card.departures if one.holds(config.to_json(), recipe)]
    changed = changed_settings(experiment, config)
    if changed:
        reasons.append(f"settings differ from the experiment's: {said(changed, card)}")
    return reasons + inherited(fused or {})


def made_otherwise(recipe: Mapping[str, Any], read: Collection[str]) -> list[str]:
    """Return what makes the features `read` of a recipe others than any paper's."""
    reasons = []
    weights = str(recipe.get("weights", ""))
    if weights.startswith("seeded") and not WITHOUT_WEIGHTS.issuperset(read):
        reasons.append(f"the features come from random weights ({weights})")
    if recipe.get("degrade"):
        reasons.append(f"the media were made worse on purpose ({recipe['degrade']})")
    return reasons


def other_truth(data: ClipSource, card: ModelCard) -> list[str]:
    """Return what makes the dense truth another one than the paper's."""
    if not (data.truth_edition and card.truth) or data.truth_edition == card.truth:
        return []
    return [
        f"the truth of the audio is LLP's {data.truth_edition} edition, the paper's is the "
        f"{card.truth} one"
    ]


def labelled_otherwise(manifest: StoreManifest) -> list[str]:
    """Return what makes the pseudo labels of a store others than any paper's."""
    made = manifest.data.get(PSEUDO_LABELS)
    if not isinstance(made, dict):
        return ["nobody has said where the pseudo labels come from"]
    weights = str(made.get("weights", ""))
    if weights.startswith("seeded"):
        return [f"the pseudo labels come from random weights ({weights})"]
    return []


def _of_frames(need: str) -> bool:
    """Return whether a feature that a net reads is made from frames."""
    feature = FEATURES.get(extractor_of(need))
    return feature is not None and feature.modality == "visual"


def other_clips(manifest: StoreManifest, card: ModelCard) -> list[str]:
    """Return what makes the clips of the paper's data set others than the paper's."""
    counted = manifest.coverage
    if not counted or counted.get("subset_id") != manifest.subset_id:
        return ["nobody has counted how many of the data set's clips are there"]
    reasons = []
    shares = counted["splits"]
    for part, word in (("train", "training"), ("test", "test")):
        own = [share for name, share in shares.items() if SPLITS.get(name, name) == part]
        clips, present = (sum(share[name] for share in own) for name in ("clips", "present"))
        if present < LEAST_COVERAGE * clips:
            reasons.append(
                f"{present:,} of the {clips:,} {word} clips are there ({100 * present / clips:.1f} "
                f"%, and a comparison takes {100 * LEAST_COVERAGE:.0f} %)"
            )
    more = [
        name
        for name, share in shares.items()
        if SPLITS.get(name, name) == "train" and share["present"] and name not in card.train_splits
    ]
    if card.train_splits and more:
        only = " and ".join(card.train_splits)
        reasons.append(f"split {more[0]} is trained on too, the paper trains on {only} alone")
    return reasons


def inherited(fused: Mapping[str, Path]) -> list[str]:
    """Return the caveats of the runs whose scores are fused, each with the run's name."""
    reasons = []
    for name, folder in fused.items():
        if not (folder / "results.json").is_file():
            reasons.append(f"the {name} scores come from a run that says nothing of itself")
            continue
        held = files.read_json(folder / "results.json", "no finished training").get("caveats", [])
        reasons += [f"the {name} run: {reason}" for reason in held]
    return reasons


def changed_settings(experiment: Experiment, config: TrainConfig) -> list[tuple[str, Any, Any]]:
    """Return the settings that differ from the experiment's: name, value here, value there."""
    wanted = type(config).from_json(experiment.settings).to_json()
    return [
        (name, value, wanted[name])
        for name, value in config.to_json().items()
        if name not in FREE_SETTINGS and value != wanted[name]
    ]


def said(changed: Iterable[tuple[str, Any, Any]], card: ModelCard) -> str:
    """Say which settings differ, and whose the other values are: the paper's, or ours."""
    ours = {*OURS, *card.ours}
    return ", ".join(
        f"{name} {value!r} ({'ours' if name in ours else 'paper'} {wanted!r})"
        for name, value, wanted in changed
    )
