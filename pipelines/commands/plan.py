"""`beam plan`: what a job would cost before it runs, from counts and figures of your own."""

from dataclasses import dataclass
from typing import Annotated, Literal

from schemas.settings.bounds import Above, AtLeast, AtMost

MOST = 1e12
"""Nothing that a user counts, waits for or pays is more."""
Count = Annotated[int, AtLeast(1), AtMost(MOST)]
Positive = Annotated[float, Above(0), AtMost(MOST)]
Amount = Annotated[float, AtLeast(0), AtMost(MOST)]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Work out what a job will take: clips, hours of download, bytes, worker hours, money.

    Example: beam plan --dataset llp --annotations LLP/data --identities 2 --seconds-per-clip 3.5
    Better than any default is a small run of your own: beam run features --limit 64 --out out/try
    and then beam plan --like out/try --workers 50 --price-worker-hour 0.2 --price-gb-month 0.02
    """

    dataset: str = "llp"
    """Data set, as for beam run features."""
    annotations: str | None = None
    """Folder with its annotation files; fetched when it is left out."""
    split: str | None = None
    """Only this split."""
    media: str | None = None
    """Folder or URI with clips that are there already; they need no download."""
    identities: Count = 1
    """Egress identities (cookies, proxy) that share the download."""
    videos_per_hour: Positive = 300.0
    """Videos per hour that one identity may fetch; sites hold back those that ask for more than
    about 300, and beam run download asks for 280 at most unless told otherwise."""
    height: Count = 360
    """Lines of the stored video, for the size of the media."""
    like: str | None = None
    """A feature store of yours: seconds and bytes per clip are what its clips took, extractors and
    recipe are its own."""
    seconds_per_clip: Annotated[float | None, Above(0), AtMost(MOST)] = None
    """Extraction time of one clip on one worker; the summary of a run gives yours. Left out: what
    --like says, else what the last job on this machine took, else the bench."""
    workers: Count = 1
    """Workers that extract at the same time."""
    unit_size: Count = 16
    """Clips that are committed together, as for beam run features."""
    extractors: str | None = None
    """Which extractors run, separated by commas; left out: those of --like, else those that run by
    default."""
    resnet152_frames: Literal["mean", "keep"] = "mean"
    """Store the mean of a second's 8 ResNet-152 vectors, or each of them."""
    proposals: Count = 10
    """Region proposals per second."""
    frames_side: Count = 256
    """Shorter side of the frames that extractor frames stores, in pixels."""
    frames_rate: Annotated[int, AtLeast(1), AtMost(8)] = 8
    """Frames per second that it stores."""
    frames_format: Literal["jpeg", "webp"] = "jpeg"
    """How it stores them."""
    worker_life_hours: Annotated[float | None, Above(0), AtMost(MOST)] = None
    """Mean hours until the engine takes a worker away; left out: it takes none."""
    worker_start_s: Amount = 180.0
    """Seconds from when a worker is paid until it begins its first unit."""
    unit_overhead_s: Amount = 0.4
    """Seconds that a unit takes beside its clips; docs/scale.md tells how to measure it."""
    price_worker_hour: Amount = 0.0
    """Price of a worker for an hour, in any currency; with a price the costs are printed too."""
    price_gpu_hour: Amount = 0.0
    """Price of a worker's GPU for an hour, where it is not in the worker's."""
    price_gb_month: Amount = 0.0
    """Price of a GB stored for a month."""
    price_gb_out: Amount = 0.0
    """Price of a GB of tables that is brought to where the training runs."""
    months: Amount = 1.0
    """Months that media and tables are stored."""


def run(options: Options, rest: list[str]) -> int:
    """Print clips, hours, bytes and costs."""
    from pipelines.commands.costs import print_plan  # with Beam

    return print_plan(options)
