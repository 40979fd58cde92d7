"""`beam run features`: its options, the checks before a job, the job, and the summary after it."""

import logging
import shlex
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from extractors.base import Precision
from extractors.nets.precision import resolve_precision
from extractors.nets.weights import cache_folder, find_weights, weights_of
from extractors.registry import EXTRACTORS
from pipelines.demo import DemoOptions, demo_folder, generate
from pipelines.jobs.features.job import NO_ANNOTATIONS, FeaturesJob
from pipelines.jobs.features.summary import print_summary
from pipelines.jobs.features.worker import SCRATCH_PREFIX, Runtime
from pipelines.runners.launch import check_out, print_left, read_reasons, run_job
from pipelines.runners.presets import (
    check_places,
    choose_destination,
    find_preset,
    worker_precision,
)
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.locking import locked
from pipelines.store.progress import Progress
from pipelines.store.scratch import sweep_scratch_folders
from schemas import RECIPES, Recipe, UsageError
from schemas.manifests import DATASETS
from schemas.messages import unknown
from schemas.recipe import DEFAULT_EXTRACTORS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Make feature tables from clips: frames and sound decoded once, every extractor run on them.

    Example: beam run features --dataset folder --media clips/ --weights seeded --out out/mine
    The same command again does only what is missing. Options that are not listed here go to Beam,
    for instance --direct_num_workers, --flink_master or --temp_location.
    """

    dataset: str = "demo"
    """demo, llp, audioset, dcase2017, ave, kinetics-instruments or folder."""
    media: str | None = None
    """Folder or URI with the clips: <video_id>_<start>_<end>.<ext> or <video_id>.<ext>."""
    annotations: str | None = None
    """Folder with the data set's original annotation files; fetched when it is left out."""
    out: str | None = None
    """Folder or URI for the tables; out/<dataset> when it is left out."""
    split: str | None = None
    """Only this split of the data set."""
    limit: int | None = None
    """Only the first so many clips of the manifest."""
    repair: bool = False
    """Mend the known defects of released annotation files (published scores are with them)."""
    recipe: str = "llp-eccv20"
    """How frames and sound become features: llp-eccv20, clean or audioset-vggish."""
    extractors: str = ",".join(DEFAULT_EXTRACTORS)
    """Which extractors run, separated by commas; ncp may be added."""
    resnet152_frames: Literal["mean", "keep"] = "mean"
    """Store the mean of a second's 8 ResNet-152 vectors, or each of them."""
    proposals: int = 10
    """Region proposals a second."""
    proposals_edges: Literal["gradient", "structured"] = "gradient"
    """Edges under the proposals: image gradient, or OpenCV's structured-edge model (model.yml.gz in
    --weights-dir)."""
    weights: str | None = None
    """pretrained, or seeded[:N] for calibrated random weights; left out: seeded for demo, else
    pretrained."""
    weights_dir: str | None = None
    """Folder with weight files, for machines without network."""
    device: str = "cpu"
    """cpu, cuda or cuda:<n>."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the two picture nets; auto takes bf16 where the hardware has it."""
    unit_size: int = 16
    """Clips that are committed together: what a kill can cost at most."""
    retry: str = "passing"
    """Failures to try again: passing, all, none, or reasons separated by commas."""
    max_failed: float = 1.0
    """Exit with status 1 when a larger share of the clips with media fails."""
    clip_timeout: float = 50.0
    """Time limit for decoding one clip of up to that length, in seconds."""
    runner: str = "FnApiRunner"
    """Any Beam runner; DirectRunner means FnApiRunner here."""
    preset: str | None = None
    """dataflow-gpu or dataflow-cpu: fills in Beam's options for Dataflow (docs/dataflow.md)."""
    accelerator: str | None = None
    """GPU of the extract step where each step has workers of its own, such as
    type:nvidia-tesla-t4;count:1;install-nvidia-driver; the preset's when it is left out."""
    clips: int = 24
    """Demo only: how many clips."""
    seed: int = 0
    """Demo only: another seed is another world."""
    classes: int = 12
    """Demo only: how many classes."""
    difficulty: Literal["easy", "default", "hard"] = "default"
    """Demo only."""


def run(config: Config, rest: list[str]) -> int:
    """Check everything, run the job, print the summary; 0 done, 1 fell short."""
    options = (f"--{name.replace('_', '-')}" for name in Config.__dataclass_fields__)
    destination = choose_destination(
        config.runner, rest, options, find_preset(config.preset), config.accelerator
    )
    if destination.remote:
        _check_reach(config)
    config = replace(config, accelerator=destination.accelerator)
    job = replace(make_job(config, remote=destination.remote), accelerator=destination.hint)
    with locked(job.out):
        store = job.store()
        before = store.state()
        started = time.monotonic()
        sweep_scratch_folders(SCRATCH_PREFIX)
        with Progress(job.out, "features", lambda: job.n_open(before)):
            run_job(lambda: _run(job, destination.arguments))
        if destination.leaves:
            return print_left(destination.leaves, job.out)
        return print_summary(job, before, time.monotonic() - started, config.max_failed)


def make_job(config: Config, *, need_media: bool = True, remote: bool = False) -> FeaturesJob:
    """The job that a configuration asks for; whatever is wrong with it shows here.

    `need_media` asks that some clip of the manifest has its file. A `remote` job may be of millions
    of clips: its workers read manifest and media folder, and have the weights.
    """
    if config.dataset not in DATASETS:
        raise UsageError(unknown("data set", config.dataset, DATASETS))
    _check_numbers(config)
    _check_demo(config)
    out = files.absolute(config.out or f"out/{config.dataset}")
    recipe = make_recipe(config, FeatureStore(out))
    annotations, media = _find_sources(config)
    job = FeaturesJob(
        dataset=config.dataset,
        annotations=annotations,
        media=media,
        out=out,
        recipe=recipe,
        runtime=_runtime(config),
        split=config.split,
        limit=config.limit,
        unit_size=config.unit_size,
        retry=read_reasons(config.retry),
        repair=config.repair,
        command=shlex.join(["beam", *sys.argv[1:]]),
    )
    if remote:
        _check_annotations(job)
    else:
        if need_media:
            _check_media(job)
        _check_weights(job)
    check_out(job.out, "--out")
    job.store().open(config.dataset, recipe)
    return job


def make_recipe(config: Config, store: FeatureStore) -> Recipe:
    """The named recipe with the options that change what is stored.

    Precision `auto` is what the store was begun with, so that a job goes on as it began on a
    machine of another kind.
    """
    if config.recipe not in RECIPES:
        raise UsageError(unknown("recipe", config.recipe, RECIPES))
    names = tuple(name.strip() for name in config.extractors.split(",") if name.strip())
    for name in names:
        if name not in EXTRACTORS:
            raise UsageError(unknown("extractor", name, EXTRACTORS))
    if not names:
        raise UsageError(f"--extractors is empty; choose from {', '.join(EXTRACTORS)}")
    weights = config.weights or ("seeded" if config.dataset == "demo" else "pretrained")
    kind, _, seed = weights.partition(":")
    if kind not in ("pretrained", "seeded") or (
        seed and not (kind == "seeded" and seed.isdecimal())
    ):
        raise UsageError(
            f"--weights is {weights!r}; allowed are pretrained, seeded and seeded:<number>"
        )
    return RECIPES[config.recipe].with_(
        extractors=tuple(name for name in EXTRACTORS if name in names),
        resnet152_frames=config.resnet152_frames,
        proposals_per_snippet=config.proposals,
        proposals_edges=config.proposals_edges,
        weights=f"seeded:{seed or 0}" if kind == "seeded" else weights,
        precision=_choose_precision(config, names, store),
    )


def _choose_precision(config: Config, names: Collection[str], store: FeatureStore) -> Precision:
    asked = config.precision
    if asked == "auto" and not {"resnet152", "r2plus1d", "proposals"} & set(names):
        asked = "fp32"  # no net that precision touches
    identity = store.identity()
    if asked == "auto" and identity is not None:
        asked = identity["recipe"]["precision"]
    preset = find_preset(config.preset)
    if preset is None:
        precision, reason = resolve_precision(asked, config.device)
    else:
        precision, reason = worker_precision(asked, preset, config.accelerator or "")
    _log.info("precision: %s", reason)
    return precision


def _runtime(config: Config) -> Runtime:
    preset = find_preset(config.preset)
    device = config.device if preset is None else preset.device
    if config.device != device and config.device != Config.device:
        raise UsageError(
            f"--device is {config.device}, but workers of preset {config.preset} take {device}; "
            "drop one"
        )
    return Runtime(
        device=device, weights_dir=config.weights_dir, clip_timeout_s=config.clip_timeout
    )


def _check_reach(config: Config) -> None:
    """Refuse what workers on other machines could not read."""
    if config.dataset == "demo":
        raise UsageError(
            "the demo world is made on this machine, which workers of Dataflow cannot reach; copy "
            "its clips and labels to a bucket and take --dataset folder"
        )
    places = {"--media": config.media, "--out": config.out, "--annotations": config.annotations}
    if config.dataset == "folder" and config.annotations is None:
        del places["--annotations"]
    check_places(places)


def _check_numbers(config: Config) -> None:
    least = {"unit_size": 1, "proposals": 1, "clip_timeout": 1, "limit": 1}
    for name, smallest in least.items():
        value = getattr(config, name)
        if value is not None and not value >= smallest:
            raise UsageError(
                f"--{name.replace('_', '-')} is {value}; it must be at least {smallest}"
            )
    if not 0 <= config.max_failed <= 1:
        raise UsageError(f"--max-failed is {config.max_failed}; it must be a share from 0 to 1")


def _check_demo(config: Config) -> None:
    """Options of the demo world with another data set would be ignored; say so instead."""
    if config.dataset == "demo":
        if config.annotations is not None:
            raise UsageError("--annotations goes with other data sets; demo brings its own truth")
        return
    for name in ("clips", "seed", "classes", "difficulty"):
        if getattr(config, name) != getattr(Config, name):
            raise UsageError(f"--{name} is of the demo world, not of data set {config.dataset}")


def _find_sources(config: Config) -> tuple[str, str]:
    """Folders of the annotations and of the media."""
    if config.dataset == "demo":
        options = DemoOptions(
            clips=config.clips,
            seed=config.seed,
            classes=config.classes,
            difficulty=config.difficulty,
        )
        folder = Path(config.media) if config.media else demo_folder(options)
        _log.info("demo clips: %s", folder)
        made = str(generate(options, folder).absolute())
        return made, made
    if config.media is None:
        raise UsageError(
            f"data set {config.dataset} needs --media, the folder or URI with its clips"
        )
    media = files.absolute(config.media)
    if files.is_local(media) and not Path(media).is_dir():
        raise UsageError(f"--media {config.media} is not a folder; give the folder with the clips")
    if config.dataset == "folder" and config.annotations is None:
        return media if files.is_local(media) else NO_ANNOTATIONS, media
    if config.annotations is not None:
        return files.absolute(config.annotations), media
    from schemas.manifests.sources import fetch_annotations

    return str(fetch_annotations(config.dataset, cache_folder() / "annotations")), media


def _check_media(job: FeaturesJob) -> None:
    """Read the manifest once, so that a bad line shows now, and see that some clip has a file."""
    index = job.media_index()
    found = total = 0
    for clip in job.clips():
        total += 1
        found += index.find(clip) is not None
    if total == 0:
        raise UsageError(f"the manifest of {job.dataset} in {job.annotations} has no clip")
    if found == 0:
        raise UsageError(
            f"--media {job.media} holds {len(index)} media files and none is a clip of "
            f"{job.dataset}; files are named <video_id>_<start>_<end>.<ext> or <video_id>.<ext>"
        )


def _check_annotations(job: FeaturesJob) -> None:
    """See that there are files; a manifest may be too long to read here."""
    if job.annotations != NO_ANNOTATIONS and not files.list_folder(job.annotations):
        raise UsageError(f"--annotations {job.annotations} holds no files")


def _check_weights(job: FeaturesJob) -> None:
    """Find, or fetch, every weight file now rather than after the first decoded clip."""
    folder = Path(job.runtime.weights_dir) if job.runtime.weights_dir else None
    for file in weights_of(job.recipe):
        find_weights(file, folder)


def _run(job: FeaturesJob, beam_args: list[str]) -> None:
    from pipelines.jobs.features import graph as features

    features.run(job, beam_args)
