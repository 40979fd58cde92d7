"""Features of media that no store holds yet, made as a trained run's own features were made.

The features job runs as a program of its own (`python -m pipelines run features`), because the
packages `models` and `pipelines` meet in shards only. It gets what makes features comparable from
the run: recipe, weights, precision, the extractors that the model needs.

    run = open_run(Path("runs/two_stream-1"))
    with new_features([Path("clip.mp4")], run) as features:
        data = features.open(run)
        outputs = run.model(data.batch(torch.tensor([0])))
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from models import registry
from models.applications.media_files import refuse_no_media
from models.contract.card import ModelCard
from models.contract.config import PixelConfig, TrainConfig
from models.contract.report import Thresholds, origin
from models.data.clips import ClipData, open_clips
from models.data.parquet import read_table
from models.data.pixels import FRAMES, PixelClips, open_pixels
from models.data.source import read_clip_table
from models.runtime.console import progress_console
from models.tasks import tagging
from models.tasks.parsing import Parsing
from models.training import run_folder as runs
from models.training.checkpoint import load_weights
from models.training.released import load_released, released_model, released_settings
from models.training.results import RunResults
from schemas import RECIPES, JobError, Recipe, UsageError, read_store_manifest
from schemas.features import extractor_of
from schemas.manifests import vocabulary
from schemas.messages import ERROR_PREFIX, printable, unknown
from schemas.recipe import FRAME_SETTINGS

ROOT = Path(__file__).resolve().parents[2]
"""Folder from which `python -m pipelines` finds the packages of this checkout."""
MOST_DETAIL = 300
"""Characters of a failure's detail that a sentence quotes."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """A trained run, or weights that authors released, ready to look at new media."""

    folder: Path
    """Its run folder, or the file of weights."""
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
    thresholds: Thresholds | None
    """What the task tuned, if it tunes something."""
    origin: str
    """Data set, weights and subset that it was trained on, in words, for titles of figures."""
    fused: Mapping[str, "Run"] = field(default_factory=dict)
    """Runs whose scores the model reads, by the name of the feature; none for most."""


def open_run(folder: Path) -> Run:
    """Open a run folder of `models/train.py`; `UsageError` when it is not a finished one.

    The runs that a fusion fuses are opened with it, and must know the same classes and features
    that were made alike.
    """
    started = runs.read_config(folder)
    results = RunResults.read(folder / runs.RESULTS)
    if started.recipe is None:
        raise UsageError(f"{folder} does not say how its features were made; train the run again")
    try:
        recipe = Recipe.from_json(dict(started.recipe))
    except ValueError as error:
        raise UsageError(f"{folder / runs.CONFIG} is damaged: {error}; train again") from None
    method = registry.load(registry.find(started.experiment)[0])
    config = method.config.from_json(started.settings)
    model = method.build(config)
    load_weights(folder / runs.CHECKPOINT, model)
    fused = {name: open_run(path) for name, path in method.fused_runs(config, folder).items()}
    for part in fused.values():
        refuse_other_part(folder, started, recipe, part)
    own = method.features(config)
    return Run(
        folder=folder,
        model=model.eval(),
        card=method.card,
        config=config,
        needs=tuple(dict.fromkeys([*own, *(need for run in fused.values() for need in run.needs)])),
        classes=started.classes,
        recipe=recipe,
        thresholds=results.thresholds,
        origin=f"{method.card.name}: {origin(results.features)}",
        fused=fused,
    )


def open_released(name: str | None, weights: Path) -> Run:
    """Open weights that the authors of a model released, for features as its paper's are made.

    `UsageError` for a net whose data set has no fixed classes, and for weights that do not fit.
    """
    model, experiment, method = released_model(name, weights)
    card = method.card
    if method.derives or not isinstance(card.task, Parsing) or card.dataset != "llp":
        raise UsageError(
            f"{model} does not parse clips of LLP; train it, and give the run as --run"
        )
    config = released_settings(method, experiment, weights)
    net = method.build(config)
    load_released(weights, card, net, config.classes)
    return Run(
        folder=weights,
        model=net.eval(),
        card=card,
        config=config,
        needs=method.features(config),
        classes=tuple(vocabulary(card.dataset, Path()).names),
        recipe=RECIPES["llp-eccv20"],
        thresholds=None,
        origin=f"{card.name}: {weights.name}",
    )


def refuse_other_part(folder: Path, started: runs.RunConfig, recipe: Recipe, part: Run) -> None:
    """Raise `UsageError` for a run that does not fit the fusion which reads its scores."""
    if part.classes != started.classes:
        raise UsageError(
            f"{folder} fuses the scores of {part.folder}, which knows other classes by now; train "
            "the fusion again"
        )
    name = runs.other_setting(recipe.to_json(), part.recipe.to_json(), part.needs)
    if name is not None:
        raise UsageError(
            f"{folder} and {part.folder}, whose scores it fuses, were trained on features with "
            f"another {name}; new media get one kind of features, so train both on one store"
        )


@dataclass(frozen=True, kw_only=True)
class NewFeatures:
    """A store with the features of some media files."""

    store: Path
    """Folder of the store; it goes when the block of `new_features` ends."""
    media: Mapping[str, Path]
    """Media file of each clip key, also of those without features."""
    failures: tuple[str, ...]
    """A sentence for each file that gave no features."""

    def open(self, run: Run) -> ClipData:
        """Open the store for the run's model."""
        return open_clips(self.store, run.needs, classes=run.classes)

    def open_with_frames(self, run: Run) -> ClipData | PixelClips:
        """Open the store for a model that may see pixels, or fuses runs that do."""
        if FRAMES not in run.needs:
            return self.open(run)
        left = [name for name in run.needs if name != FRAMES]
        others = open_clips(self.store, left, classes=run.classes) if left else None
        seeing = (part.config for part in (run, *run.fused.values()))
        config = next(one for one in seeing if isinstance(one, PixelConfig))
        return open_pixels(read_clip_table(self.store, run.classes), config, others)


@contextlib.contextmanager
def new_features(
    media: Sequence[Path], run: Run, *, weights_dir: Path | None = None
) -> Iterator[NewFeatures]:
    """Make features as `made_features` does; `JobError` when no file gave any."""
    what = printable(media[0].name, 60) if len(media) == 1 else f"{len(media)} files"
    with contextlib.ExitStack() as stack:
        with progress_console().status(f"making features of {what}"):
            features = stack.enter_context(made_features(media, run, weights_dir=weights_dir))
        refuse_nothing(features.failures, len(media))
        yield features


def refuse_nothing(failures: Sequence[str], files: int) -> None:
    """Raise `JobError` when every file has failed."""
    if len(failures) == files:
        more = f" (and {len(failures) - 1} more files gave none)" if failures[1:] else ""
        raise JobError(f"{failures[0]}{more}")


@contextlib.contextmanager
def made_features(
    media: Sequence[Path], run: Run, *, weights_dir: Path | None = None
) -> Iterator[NewFeatures]:
    """Make a feature store of some media files in a temporary folder.

    The clips have the keys `clip0000`, `clip0001`, ... in the order of `media`, and no labels.
    `UsageError` for a path that is no media file and for whatever the job calls wrong use,
    `JobError` with the job's own sentence when the job fails.
    """
    with scratch_folder() as scratch:
        folder, store = scratch / "media", scratch / "store"
        folder.mkdir()
        by_key = {clip_name(index): path for index, path in enumerate(media)}
        for key, path in by_key.items():
            link(path, folder / key)
        status, messages = run_job(features_command(folder, store, run, weights_dir))
        failures = read_failures(store, by_key) if status in (0, 1) else ()
        if status and (status != 1 or not failures):
            raise job_error(status, messages)
        yield NewFeatures(store=store, media=by_key, failures=failures)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a temporary folder that goes at the end; `JobError` when there is no place for it."""
    try:
        scratch = tempfile.TemporaryDirectory(prefix="earsight-", ignore_cleanup_errors=True)
    except OSError as error:
        raise JobError(
            f"no temporary folder can be made ({error.strerror or error}); set TMPDIR to a folder "
            "with room"
        ) from None
    with scratch as name:
        yield Path(name)


def run_job(command: Sequence[str]) -> tuple[int, str]:
    """Run a job as a program of its own; return its exit status and what it wrote on stderr.

    Whatever interrupts us ends the job too, with everything that it has started.
    """
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), start_new_session=True, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as job:  # fmt: skip
        try:
            _, messages = job.communicate()
        except BaseException:
            end_job(job)
            raise
    return job.returncode, messages


def end_job(job: subprocess.Popen[str], patience_s: float = 5.0) -> None:
    """Ask a job and its children to end, and end them when they do not within `patience_s`."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.communicate(timeout=patience_s)


def detected_labels(run: Run, scores: NDArray[np.float32], name: str) -> list[str]:
    """Return the classes whose scores [C] reach the run's thresholds; `JobError` when none does."""
    thresholds = tagging.cut_values(run.thresholds, len(run.classes))
    detected = [run.classes[index] for index in np.flatnonzero(scores >= thresholds)]
    if not detected:
        best = run.classes[int(scores.argmax())]
        raise JobError(
            f"the run detects none of its {len(run.classes)} classes in {name}; name one with "
            f"--label (its highest score is for {best})"
        )
    return detected


def refuse_unknown_label(run: Run, label: str) -> None:
    """Raise `UsageError` with a suggestion for a class that the run has not."""
    if label not in run.classes:
        raise UsageError(unknown("label", label, sorted(run.classes)))


def clip_name(index: int) -> str:
    """Return the clip key of the file at this place of the list.

    >>> clip_name(7)
    'clip0007'
    """
    return f"clip{index:04d}"


def link(path: Path, target: Path) -> None:
    """Link a media file to another stem; `UsageError` when it is no media file."""
    refuse_no_media(path)
    target.with_suffix(path.suffix.lower()).symlink_to(path.resolve())


def features_command(
    media: Path, store: Path, run: Run, weights_dir: Path | None = None
) -> list[str]:
    """Return the command line of the features job for a folder of media."""
    recipe = run.recipe
    options = {
        "dataset": "folder",
        "media": str(media),
        "out": str(store),
        "recipe": recipe.name,
        "extractors": ",".join(extractor_of(name) for name in run.needs),
        "resnet152-frames": recipe.resnet152_frames,
        "proposals": str(recipe.proposals_per_snippet),
        "proposals-edges": recipe.proposals_edges,
        "proposals-source": recipe.proposals_source,
        "proposals-choice": recipe.proposals_choice,
        "proposals-overlap": str(recipe.proposals_overlap),
        "proposals-context": recipe.proposals_context,
        "proposals-type": recipe.proposals_type,
        "logmel-type": recipe.logmel_type,
        "logmel-windows": recipe.logmel_windows,
        "ncp-windows": recipe.ncp_windows,
        "weights": recipe.weights,
        "precision": recipe.precision,
    }
    if recipe.stores_frames and "frames" in run.needs:
        options |= {name.replace("_", "-"): str(getattr(recipe, name)) for name in FRAME_SETTINGS}
    if weights_dir is not None:
        options["weights-dir"] = str(weights_dir.resolve())
    pairs = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "pipelines", "run", "features", *pairs]


def environment() -> dict[str, str]:
    """Return our environment without a search path that would lead the job to other packages."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


def job_error(status: int, messages: str) -> UsageError | JobError:
    """Return the job's own sentence as our error, of the kind that its exit status means."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    errors = [line.removeprefix(ERROR_PREFIX) for line in lines if line.startswith(ERROR_PREFIX)]
    sentence = errors[-1] if errors else f"it ended with status {status}: {' '.join(lines[-1:])}"
    kind = UsageError if status == 2 else JobError
    return kind(f"the features job says: {sentence}")


def read_failures(store: Path, media: Mapping[str, Path]) -> tuple[str, ...]:
    """Return a sentence for each media file of which the job could make no features."""
    try:
        manifest = read_store_manifest(store)
    except UsageError:  # the job ended before it wrote one
        return ()
    rows = read_table(manifest, "failures", ["clip_key", "reason", "detail"]).to_pylist()
    return tuple(
        f"{media[row['clip_key']]} gave no features: {row['reason']} "
        f"({' '.join(row['detail'].split())[:MOST_DETAIL]})"
        for row in sorted(rows, key=lambda row: str(row["clip_key"]))
    )
