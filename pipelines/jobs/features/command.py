"""`beam run features`: its options."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pipelines.jobs.options import ClipOptions
from schemas.features import DEFAULT_EXTRACTORS
from schemas.settings.bounds import Above, AtLeast, AtMost, Between


@dataclass(frozen=True, kw_only=True)
class Options(ClipOptions):
    """Make feature tables from clips: decode video and audio once, run every extractor on them.

    Example: beam run features --dataset folder --media clips/ --weights seeded --out out/mine
    The same command again does only what is missing. Options that are not listed here go to Beam,
    for instance --direct_num_workers, --flink_master or --temp_location.
    """

    dataset: str = "demo"
    """demo, llp, audioset, dcase2017, ave, unav100, kinetics-instruments, esc10, esc50,
    urbansound8k or folder."""
    media: str | None = None
    """Folder or URI with the clips: <video_id>_<start>_<end>.<ext> or <video_id>.<ext>."""
    out: str | None = None
    """Folder or URI for the tables; out/<dataset> when it is left out."""
    recipe: str = "llp-eccv20"
    """How video and audio become features: llp-eccv20, clean, audioset-vggish, or quick, with one
    frame a second instead of eight."""
    extractors: str = ",".join(DEFAULT_EXTRACTORS)
    """Which extractors run, separated by commas; ncp, clip, clap and frames may be added."""
    resnet152_frames: Literal["mean", "keep"] = "mean"
    """Store the mean of a second's 8 ResNet-152 vectors, or each of them."""
    proposals: Annotated[int, AtLeast(1)] = 10
    """Region proposals per second."""
    proposals_source: Literal["edgeboxes", "selective-search", "rpn"] = "edgeboxes"
    """Where region proposals come from; rpn is Faster R-CNN's region proposal network, trained on
    COCO."""
    proposals_choice: Literal["spread", "best"] = "spread"
    """Which are kept: of 400 those that overlap little, of every size, the whole frame among them;
    or simply the best, as in stores of before."""
    proposals_overlap: Annotated[float, Above(0), AtMost(1)] = 0.6
    """Overlap (intersection over union) above which spread keeps the better of two boxes."""
    proposals_edges: Literal["auto", "gradient", "structured"] = "auto"
    """Edges under EdgeBoxes: image gradient, or OpenCV's structured-edge model (model.yml.gz in
    --weights-dir or the cache folder); auto takes the model where its file is there."""
    proposals_context: Literal["none", "1.8x"] = "none"
    """1.8x: a box has the feature of its surroundings too, which two_stream-context compares with
    its own; the table takes twice the room."""
    proposals_type: Literal["float32", "float16"] = "float32"
    """Numbers that the features of boxes are stored in; float16 takes half the room."""
    logmel_type: Literal["float32", "float16"] = "float32"
    """Numbers that log-mel is stored in: float16 takes half the room and is read many times as fast
    (docs/audioset.md)."""
    logmel_windows: Literal["16ms", "64ms"] = "16ms"
    """Windows of log-mel: 16ms for fayek_audio and most nets, 64ms for cvssp alone."""
    ncp_windows: Literal["all", "loudest"] = "all"
    """With extractor ncp: the VGGish of a component is the mean over all windows, or over the five
    in which it is loudest, which takes a third of the time."""
    frames_side: Annotated[int, Between(32, 2048)] = 256
    """With extractor frames: shorter side of the stored frames, in pixels."""
    frames_rate: Annotated[int | None, AtLeast(1)] = None
    """With extractor frames: stored frames per second; left out, all that the recipe takes."""
    frames_format: Literal["jpeg", "webp"] = "jpeg"
    """With extractor frames: how frames are stored; webp takes 40 % less room and ten times as long
    to encode."""
    degrade: str = ""
    """Make the media worse first, to test trained runs: noise:<dB>, blur:<per cent> or drop:<share>
    (docs/robustness.md). It is in the recipe, so such a store is never taken for a clean one."""
    weights: str | None = None
    """pretrained, or seeded[:N] for calibrated random weights; left out: seeded for demo, else
    pretrained."""
    weights_dir: str | None = None
    """Folder with weight files, for machines without network."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:<n>; auto takes the GPU where there is one, as a training does."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format in which the two video nets compute; auto takes bf16 where the hardware has
    it."""
    clip_timeout: Annotated[float, AtLeast(1)] = 50.0
    """Time limit for decoding one clip of up to that length, in seconds."""
    accelerator: str | None = None
    """GPU of the extract step where each step has workers of its own, such as
    type:nvidia-tesla-t4;count:1;install-nvidia-driver; the preset's when it is left out."""
    verify: bool = False
    """Read every finished part back before the job, and do the clips of damaged ones again. A part
    that is missing or of another size is always noticed."""
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
    from pipelines.jobs.features.launch import launch  # with Beam and the nets

    return launch(options, rest)
