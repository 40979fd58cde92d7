"""From the options of a features job to its end: what can be wrong with them shows here."""

import logging
import sys
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from extractors.nets.precision import choose_device, resolve_precision
from extractors.nets.weights import WEIGHTS, find_weights, missing_weights, weights_of
from pipelines.demo import DemoOptions, demo_folder, generate
from pipelines.jobs.features.arrangement import arrange_clips, usable_cores, usable_memory
from pipelines.jobs.features.command import Options
from pipelines.jobs.features.graph import build
from pipelines.jobs.features.job import NO_ANNOTATIONS, FeaturesJob
from pipelines.jobs.features.summary import print_summary
from pipelines.jobs.features.worker import SCRATCH_PREFIX, Runtime
from pipelines.jobs.options import (
    check_dataset,
    read_extractors,
    read_reasons,
    read_subset_option,
)
from pipelines.runners.beam_options import local_processes
from pipelines.runners.launch import check_out, run_to_end
from pipelines.runners.presets import (
    Destination,
    Preset,
    accelerator_kind,
    check_reachable,
    choose_destination,
    find_preset,
)
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.interrupts import released_on_signals
from pipelines.store.locking import locked
from pipelines.store.scratch import sweep_scratch_folders
from schemas import FEATURES, RECIPES, Recipe, UsageError
from schemas.machine.precision import Precision
from schemas.manifests import WITH_MEDIA
from schemas.messages import unknown
from schemas.published import cache_folder
from schemas.recipe import FRAME_SETTINGS, read_degradation
from schemas.secrets import redact_command
from schemas.settings import screen

_log = logging.getLogger(__name__)
_DEMO_ONLY = ("clips", "seed", "classes", "difficulty")
_WITHOUT_BF16 = ("nvidia-tesla-k80", "nvidia-tesla-p", "nvidia-tesla-t4", "nvidia-tesla-v100")
"""Beginnings of the accelerators of Dataflow whose generation has no bf16."""


def launch(options: Options, rest: list[str]) -> int:
    """Check everything, run the job, print the summary; 0 done, 1 fell short."""
    destination = choose_destination(options.runner, rest, options.preset, options.accelerator)
    if destination.remote:
        _check_reach(options)
    options = replace(options, accelerator=destination.accelerator)
    if destination.elsewhere and options.preset is None and options.device == "auto":
        options = replace(options, device="cpu")  # what its workers have is not known here
    job = replace(make_job(options, remote=destination.remote), accelerator=destination.hint)
    job = replace(job, runtime=_arranged(job.runtime, destination))
    with locked(job.out), released_on_signals(_sweep_own):
        sweep_scratch_folders(SCRATCH_PREFIX)
        store = job.store()
        store.open(job.dataset, job.recipe, verify=options.verify)
        before, started = store.state(), time.monotonic()
        ended = run_to_end(
            lambda pipeline: build(pipeline, job), destination,
            store=job.out, label="features", count=lambda: job.n_open(before),
        )  # fmt: skip
        if not ended:
            return 0
        return print_summary(job, before, time.monotonic() - started, options.max_failed)


def _arranged(runtime: Runtime, destination: Destination) -> Runtime:
    """Return the runtime with as many clips at once as fit; on an engine, one in each worker."""
    if destination.elsewhere:
        return runtime
    cores = usable_cores()
    clips, reason = arrange_clips(
        runtime.device, local_processes(destination.arguments) or cores, cores, usable_memory()
    )
    _log.info("arrangement: %s", reason)
    return replace(runtime, clips_at_once=clips)


def _sweep_own() -> None:
    sweep_scratch_folders(SCRATCH_PREFIX, own=True)


def make_job(options: Options, *, need_media: bool = True, remote: bool = False) -> FeaturesJob:
    """Return the job that the options ask for; `UsageError` for whatever is wrong with them.

    `need_media` asks that some clip of the manifest has its file. A `remote` job may be of millions
    of clips: its workers read manifest and media folder, and have the weights.
    """
    check_dataset(options.dataset)
    _check_demo(options)
    out = files.absolute(options.out or f"out/{options.dataset}")
    recipe = make_recipe(options, FeatureStore(out))
    annotations, media = _find_sources(options)
    job = FeaturesJob(
        dataset=options.dataset,
        annotations=annotations,
        media=media,
        out=out,
        recipe=recipe,
        runtime=_runtime(options),
        split=options.split,
        subset=read_subset_option(options.subset),
        limit=options.limit,
        unit_size=options.unit_size,
        retry=read_reasons(options.retry),
        repair=options.repair,
        command=redact_command(["beam", *sys.argv[1:]]),
    )
    if remote:
        _check_annotations(job)
    else:
        if need_media:
            _check_media(job)
        _check_weights(job)
    check_out(job.out, "--out")
    return job


def make_recipe(options: Options, store: FeatureStore) -> Recipe:
    """Return the named recipe with the options that change what is stored.

    Precision `auto` is that of the store where it is begun already, so that a job goes on as it
    began on a machine of another kind.
    """
    if options.recipe not in RECIPES:
        raise UsageError(unknown("recipe", options.recipe, RECIPES))
    names = read_extractors(options.extractors)
    return RECIPES[options.recipe].with_(
        extractors=names,
        resnet152_frames=options.resnet152_frames,
        proposals_per_snippet=options.proposals,
        **_box_settings(options, store),
        logmel_type=options.logmel_type,
        logmel_windows=options.logmel_windows,
        degrade=_checked_degradation(options.degrade),
        ncp_windows=options.ncp_windows,
        weights=_read_weights(options),
        precision=_choose_precision(options, names, store),
        **_frame_settings(options, names),
    )


def _checked_degradation(text: str) -> str:
    """Return a degradation as it is written; `UsageError` for what is none."""
    try:
        kind, level = read_degradation(text) if text else ("", 0.0)
    except ValueError as error:
        raise UsageError(f"--degrade {error}") from None
    return f"{kind}:{level:g}" if kind else ""


def _box_settings(options: Options, store: FeatureStore) -> dict[str, Any]:
    """Return how boxes are found and chosen.

    Edges `auto` are those of the store where it is begun already, so that a job goes on as it
    began; else structured ones where the nets have published weights and the model file is there.
    """
    edges, identity = options.proposals_edges, store.identity()
    if edges == "auto" and identity is not None:
        edges = identity.recipe.proposals_edges
    elif edges == "auto":
        folder = Path(options.weights_dir) if options.weights_dir else None
        pretrained = _read_weights(options) == "pretrained"
        there = pretrained and not missing_weights(WEIGHTS["structured_edges"], folder)
        edges = "structured" if there else "gradient"
    return {
        "proposals_source": options.proposals_source,
        "proposals_choice": options.proposals_choice,
        "proposals_overlap": options.proposals_overlap,
        "proposals_edges": edges,
        "proposals_context": options.proposals_context,
        "proposals_type": options.proposals_type,
    }


def _frame_settings(options: Options, names: Collection[str]) -> dict[str, Any]:
    """Return how frames are stored; `UsageError` where that is said and none are, or is impossible.

    A store without frames has the recipe's own settings of them, so that they change nothing.
    """
    asked = {name: getattr(options, name) for name in FRAME_SETTINGS}
    if "frames" not in names:
        given = [name for name in FRAME_SETTINGS if asked[name] != getattr(Options(), name)]
        if given:
            option = f"--{given[0].replace('_', '-')}"
            raise UsageError(
                f"{option} says how extractor frames stores frames, and it does not run; add it to "
                f"--extractors, or leave {option} out"
            )
        return {}
    per_second = RECIPES[options.recipe].frames_per_second
    rate = asked["frames_rate"] or per_second
    if per_second % rate:
        divisors = [str(n) for n in range(1, per_second + 1) if per_second % n == 0]
        raise UsageError(
            f"--frames-rate is {rate}, and of the {per_second} frames a second of recipe "
            f"{options.recipe} that many cannot be stored evenly; take {' or '.join(divisors)}"
        )
    return {**asked, "frames_rate": rate}


def _read_weights(options: Options) -> str:
    """Return `pretrained` or `seeded:<number>`; `UsageError` for anything else."""
    weights = options.weights or ("seeded" if options.dataset == "demo" else "pretrained")
    kind, _, seed = weights.partition(":")
    if weights != "pretrained" and (kind != "seeded" or not (seed or "0").isdecimal()):
        raise UsageError(
            f"--weights is {weights!r}; allowed are pretrained, seeded and seeded:<number>"
        )
    return weights if kind == "pretrained" else f"seeded:{seed or 0}"


def _choose_precision(options: Options, names: Collection[str], store: FeatureStore) -> Precision:
    asked, why = options.precision, ""
    identity = store.identity()
    if asked == "auto" and not any(FEATURES[name].half_precision for name in names):
        asked, why = "fp32", "fp32, because none of these extractors computes in bf16"
    elif asked == "auto" and identity is not None:
        asked = identity.recipe.precision
        why = f"{asked}, because the store was begun with it"
    preset = find_preset(options.preset)
    if preset is None:
        device = choose_device(options.device)
        precision, reason = resolve_precision(asked, device)
    else:
        device = preset.device
        precision, reason = worker_precision(asked, preset, options.accelerator or "")
    said = f"features: on {device}, precision {why or reason}"
    _log.info("%s", said)
    screen.say(said)
    return precision


def worker_precision(
    asked: Literal["fp32", "bf16", "fp16", "auto"], preset: Preset, accelerator: str
) -> tuple[Precision, str]:
    """Return what `resolve_precision` would, for workers that are not there yet.

    `auto` is fp32 on CPUs, which may differ from worker to worker.
    """
    if preset.device == "cpu":
        return resolve_precision("fp32" if asked == "auto" else asked)
    if asked != "auto":
        return asked, f"{asked} as asked"
    kind = accelerator_kind(accelerator)
    if kind.startswith(_WITHOUT_BF16):
        return "fp32", f"fp32, because {kind} has no bf16 units"
    return "bf16", f"bf16, because {kind} has bf16 units"


def _runtime(options: Options) -> Runtime:
    preset = find_preset(options.preset)
    device = choose_device(options.device) if preset is None else preset.device
    if options.device != device and options.device != Options.device:
        raise UsageError(
            f"--device is {options.device}, but workers of preset {options.preset} take {device}; "
            "drop one"
        )
    return Runtime(
        device=device, weights_dir=options.weights_dir, clip_timeout_s=options.clip_timeout
    )


def _check_reach(options: Options) -> None:
    """Refuse what workers on other machines could not read."""
    if options.dataset == "demo":
        raise UsageError(
            "the demo world is made on this machine, which workers of Dataflow cannot reach; copy "
            "its clips and labels to a bucket and take --dataset folder"
        )
    needed = {"--media": options.media, "--out": options.out, "--annotations": options.annotations}
    if options.dataset == "folder" and options.annotations is None:
        del needed["--annotations"]
    check_reachable(needed)


def _check_demo(options: Options) -> None:
    """Refuse options of the demo world with another data set, which would be ignored."""
    if options.dataset == "demo":
        if options.annotations is not None:
            raise UsageError("--annotations goes with other data sets; demo brings its own truth")
        return
    for name in _DEMO_ONLY:
        if getattr(options, name) != getattr(Options, name):
            raise UsageError(f"--{name} is of the demo world, not of data set {options.dataset}")


def _find_sources(options: Options) -> tuple[str, str]:
    """Return the folders of the annotations and of the media."""
    if options.dataset == "demo":
        world = DemoOptions(**{name: getattr(options, name) for name in _DEMO_ONLY})
        folder = Path(options.media) if options.media else demo_folder(world)
        _log.info("demo clips: %s", folder)
        made = str(generate(world, folder).absolute())
        return made, made
    if options.media is None:
        raise UsageError(
            f"data set {options.dataset} needs --media, the folder or URI with its clips"
        )
    media = files.absolute(options.media)
    if files.is_local(media) and not Path(media).is_dir():
        raise UsageError(f"--media {options.media} is not a folder; give the folder with the clips")
    if options.dataset in WITH_MEDIA and options.annotations is None and files.is_local(media):
        return media, media
    if options.dataset == "folder" and options.annotations is None:
        return NO_ANNOTATIONS, media
    if options.annotations is not None:
        return files.absolute(options.annotations), media
    from schemas.manifests.sources import fetch_annotations

    return str(fetch_annotations(options.dataset, cache_folder() / "annotations")), media


def _check_media(job: FeaturesJob) -> None:
    """Read the manifest once, so that a bad line shows now, and see that some clip has a file."""
    index = job.media_index()
    with_file = [index.find(clip) is not None for clip in job.clips()]
    if not with_file:
        named = " that --subset names" if job.subset is not None else ""
        raise UsageError(f"the manifest of {job.dataset} in {job.annotations} has no clip{named}")
    if not any(with_file):
        raise UsageError(
            f"--media {job.media} holds {len(index)} media files and none is a clip of "
            f"{job.dataset}; files are named <video_id>_<start>_<end>.<ext> or <video_id>.<ext>"
        )


def _check_annotations(job: FeaturesJob) -> None:
    """Check that there are files; a manifest may be too long to read here."""
    if job.annotations != NO_ANNOTATIONS and not files.list_folder(job.annotations):
        raise UsageError(f"--annotations {job.annotations} holds no files")


def _check_weights(job: FeaturesJob) -> None:
    """Find, or fetch, every weight file now rather than after the first decoded clip."""
    folder = Path(job.runtime.weights_dir) if job.runtime.weights_dir else None
    for file in weights_of(job.recipe):
        find_weights(file, folder)
