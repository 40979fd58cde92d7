"""`beam run features`: its options, and the job from its checks to its summary.

What is imported here is light, so that help and complaints come at once.
"""

import time
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pipelines.jobs.options import ClipOptions
from schemas.features import DEFAULT_EXTRACTORS
from schemas.settings.bounds import AtLeast


@dataclass(frozen=True, kw_only=True)
class Options(ClipOptions):
    """Make feature tables from clips: decode video and audio once, run every extractor on them.

    Example: beam run features --dataset folder --media clips/ --weights seeded --out out/mine
    The same command again does only what is missing. Options that are not listed here go to Beam,
    for instance --direct_num_workers, --flink_master or --temp_location.
    """

    dataset: str = "demo"
    """demo, llp, audioset, dcase2017, ave, kinetics-instruments or folder."""
    media: str | None = None
    """Folder or URI with the clips: <video_id>_<start>_<end>.<ext> or <video_id>.<ext>."""
    out: str | None = None
    """Folder or URI for the tables; out/<dataset> when it is left out."""
    recipe: str = "llp-eccv20"
    """How video and audio become features: llp-eccv20, clean or audioset-vggish."""
    extractors: str = ",".join(DEFAULT_EXTRACTORS)
    """Which extractors run, separated by commas; ncp may be added."""
    resnet152_frames: Literal["mean", "keep"] = "mean"
    """Store the mean of a second's 8 ResNet-152 vectors, or each of them."""
    proposals: Annotated[int, AtLeast(1)] = 10
    """Region proposals per second."""
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
    """Number format in which the two video nets compute; auto takes bf16 where the hardware has
    it."""
    clip_timeout: Annotated[float, AtLeast(1)] = 50.0
    """Time limit for decoding one clip of up to that length, in seconds."""
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
    """Demo only: how hard the events are to see and hear."""


def run(options: Options, rest: list[str]) -> int:
    """Check everything, run the job, print the summary; 0 done, 1 fell short."""
    from pipelines.jobs.features.graph import build
    from pipelines.jobs.features.prepare import check_reach, make_job
    from pipelines.jobs.features.summary import print_summary
    from pipelines.jobs.features.worker import SCRATCH_PREFIX
    from pipelines.runners.graph import run_pipeline
    from pipelines.runners.launch import print_left
    from pipelines.runners.presets import choose_destination
    from pipelines.store.locking import locked
    from pipelines.store.progress import Progress
    from pipelines.store.scratch import sweep_scratch_folders

    destination = choose_destination(options.runner, rest, options.preset, options.accelerator)
    if destination.remote:
        check_reach(options)
    options = replace(options, accelerator=destination.accelerator)
    job = replace(make_job(options, remote=destination.remote), accelerator=destination.hint)
    with locked(job.out):
        before, started = job.store().state(), time.monotonic()
        sweep_scratch_folders(SCRATCH_PREFIX)
        with Progress(job.out, "features", lambda: job.n_open(before)):
            run_pipeline(lambda pipeline: build(pipeline, job), destination.arguments)
        if destination.leaves:
            return print_left(destination.leaves, job.out)
        return print_summary(job, before, time.monotonic() - started, options.max_failed)
