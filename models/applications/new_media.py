"""Features of media that no store holds yet, made as a trained run's own features were made.

The features job runs as a program of its own (`python -m pipelines run features`), because the
packages `models` and `pipelines` meet in shards only. It gets what makes features comparable from
the run: recipe, weights, arithmetic, the extractors that the model needs.

    run = open_run(Path("runs/two_stream-1"))
    with new_features([Path("clip.mp4")], run) as store:
        data = open_clips(store, run.needs, classes=run.classes)
        outputs = run.model(data.batch(torch.tensor([0])))
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from models import registry
from models.contract.card import ModelCard
from models.contract.config import TrainConfig
from models.data.bags import EXTRACTORS
from models.data.parquet import read_table
from models.runtime import files
from models.tasks import tagging
from models.training import run_folder as runs
from schemas import JobError, Recipe, UsageError, read_store_manifest
from schemas.manifests.folder import MEDIA_SUFFIXES
from schemas.messages import ERROR_PREFIX, unknown

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """A trained run, ready to look at new media."""

    folder: Path
    """Its run folder."""
    model: nn.Module
    """The trained model, in evaluation mode."""
    card: ModelCard
    """Card of the model."""
    config: TrainConfig
    """Settings of the training."""
    needs: tuple[str, ...]
    """Features that the model reads, as `models.data.clips.open_clips` takes them."""
    classes: tuple[str, ...]
    """Class names in order."""
    recipe: Recipe
    """How the features of the training were made."""
    results: dict[str, Any]
    """What `results.json` holds."""


def open_run(folder: Path) -> Run:
    """Open a run folder of `models/train.py`; `UsageError` when it is not a finished one."""
    facts = runs.read_config(folder)
    results = files.read_json(folder / runs.RESULTS, "no finished training")
    if "recipe" not in facts:
        raise UsageError(f"{folder} does not say how its features were made; train the run again")
    name, _ = registry.find(facts["experiment"])
    module = registry.load(name)
    config = module.Config.from_json(facts["settings"])
    model = module.build(config)
    runs.load_weights(folder / runs.CHECKPOINT, model)
    return Run(
        folder=folder,
        model=model.eval(),
        card=module.CARD,
        config=config,
        needs=registry.needs(name, config),
        classes=tuple(facts["classes"]),
        recipe=Recipe.from_json(facts["recipe"]),
        results=results,
    )


@contextlib.contextmanager
def new_features(
    media: Sequence[Path], run: Run, *, weights_dir: Path | None = None
) -> Iterator[Path]:
    """Make a feature store of some media files in a temporary folder; gives the store's folder.

    The clips have the keys `clip0000`, `clip0001`, ... in the order of `media`, and no labels.
    `UsageError` for a path that is no media file and for whatever the job calls wrong use,
    `JobError` with the job's own sentence when it or one of the files fails.
    """
    with tempfile.TemporaryDirectory(prefix="earsight-") as name:
        folder, store = Path(name, "media"), Path(name, "store")
        folder.mkdir()
        for index, path in enumerate(media):
            link(path, folder / clip_name(index))
        command = features_command(folder, store, run, weights_dir)
        said = f"making features of {media[0].name if len(media) == 1 else f'{len(media)} files'}"
        with Console(stderr=True).status(said):
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment()
            )
        if done.returncode:
            raise failure(done.returncode, done.stderr)
        refuse_failures(store, media)
        yield store


def found_labels(run: Run, scores: NDArray[np.float32], name: str) -> list[str]:
    """Classes whose scores [C] reach the run's thresholds; `JobError` when none does."""
    thresholds = tagging.read_thresholds(run.results, len(run.classes))
    found = [run.classes[index] for index in np.flatnonzero(scores >= thresholds)]
    if not found:
        best = run.classes[int(scores.argmax())]
        raise JobError(
            f"the run finds none of its {len(run.classes)} classes in {name}; name one with "
            f"--label (its highest score is for {best})"
        )
    return found


def known_label(run: Run, label: str) -> int:
    """Index of a class; `UsageError` with a suggestion when the run does not know it."""
    if label not in run.classes:
        raise UsageError(unknown("label", label, sorted(run.classes)))
    return run.classes.index(label)


def clip_name(index: int) -> str:
    """Clip key of the file at this place of the list.

    >>> clip_name(7)
    'clip0007'
    """
    return f"clip{index:04d}"


def link(path: Path, place: Path) -> None:
    """Let a media file be found under another stem; `UsageError` when it is no media file."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file; give a video or a sound file")
    if path.suffix.lower() not in MEDIA_SUFFIXES:
        known = " ".join(sorted(MEDIA_SUFFIXES))
        raise UsageError(f"{path} is no media file by its ending; media end in {known}")
    place.with_suffix(path.suffix.lower()).symlink_to(path.resolve())


def features_command(
    media: Path, store: Path, run: Run, weights_dir: Path | None = None
) -> list[str]:
    """Command line of the features job for a folder of media."""
    recipe = run.recipe
    options = {
        "dataset": "folder",
        "media": str(media),
        "out": str(store),
        "recipe": recipe.name,
        "extractors": ",".join(EXTRACTORS.get(name, name) for name in run.needs),
        "resnet152-frames": recipe.resnet152_frames,
        "proposals": str(recipe.proposals_per_snippet),
        "proposals-edges": recipe.proposals_edges,
        "weights": recipe.weights,
        "precision": recipe.precision,
    }
    if weights_dir is not None:
        options["weights-dir"] = str(weights_dir.resolve())
    pairs = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "pipelines", "run", "features", *pairs]


def environment() -> dict[str, str]:
    """Environment of the job: ours, without a search path that would lead to other packages."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


def failure(status: int, said: str) -> UsageError | JobError:
    """The job's own sentence as our error, of the kind that its exit status means."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix(ERROR_PREFIX) for line in lines if line.startswith(ERROR_PREFIX)]
    sentence = errors[-1] if errors else f"it ended with status {status}: {' '.join(lines[-1:])}"
    kind = UsageError if status == 2 else JobError
    return kind(f"the features job says: {sentence}")


def refuse_failures(store: Path, media: Sequence[Path]) -> None:
    """Raise `JobError` for the first file of which the job could make no features."""
    columns = ["clip_key", "reason", "detail"]
    for row in read_table(read_store_manifest(store), "failures", columns).to_pylist():
        path = media[int(row["clip_key"].removeprefix("clip"))]
        detail = " ".join(row["detail"].split())
        raise JobError(f"{path} gave no features: {row['reason']} ({detail})")
