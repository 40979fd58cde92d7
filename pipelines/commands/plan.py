"""`beam plan`: what a job would cost before it runs, from counts and figures of your own."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from pipelines.commands.estimate import Count, Measured, table_bytes
from pipelines.commands.preemption import Workload
from pipelines.jobs.download.identity import DEFAULT_PER_HOUR
from pipelines.jobs.download.rate_limit import MEAN_SLOWDOWN
from pipelines.jobs.options import read_extractors
from pipelines.media.media_index import MediaIndex
from pipelines.store import files
from schemas import RECIPES, UsageError
from schemas.features import DEFAULT_EXTRACTORS
from schemas.manifests import read_manifest

_BYTES_PER_SECOND_OF_MEDIA = 62_000
"""The mean of 17 clips of LLP, AVE and VAS as labs pass them on, 240 to 360 lines."""
_USUAL_SECONDS = 3.0
_ABOVE_ZERO = (
    "identities", "videos_per_hour", "height", "seconds_per_clip", "workers", "unit_size",
    "proposals", "worker_life_hours",
)  # fmt: skip
_PRICES = ("price_worker_hour", "price_gpu_hour", "price_gb_month", "price_gb_out")
_NOT_BELOW_ZERO = (*_PRICES, "months", "worker_start_s", "unit_overhead_s")
_MOST = 1e12
"""Nothing that a user counts, waits for or pays is more."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The arithmetic of a job: clips, hours of download by identity, bytes, worker hours, money.

    Example: beam plan --dataset llp --annotations LLP/data --identities 2 --seconds-per-clip 3.5
    Better than any default is a small run of your own: beam run features --limit 64 --out out/try
    and then beam plan --like out/try --workers 50 --price-worker-hour 0.2 --price-gb-month 0.02
    """

    dataset: str = "llp"
    """Data set, as for beam run features."""
    annotations: str
    """Folder with its annotation files."""
    split: str | None = None
    """Only this split."""
    media: str | None = None
    """Folder or URI with clips that are there already; they need no download."""
    identities: int = 1
    """Egress identities (cookies, proxy) that share the download."""
    videos_per_hour: float = 300.0
    """Videos an hour that one identity may fetch; sites hold back those that ask for more than
    about 300, and beam run download asks for 280 at most unless told otherwise."""
    height: int = 360
    """Lines of the stored picture, for the size of the media."""
    like: str | None = None
    """A feature store of yours: seconds and bytes a clip are what its clips took."""
    seconds_per_clip: float | None = None
    """Extraction time of one clip on one worker; the summary of a run gives yours. Left out: what
    --like says, else 3."""
    workers: int = 1
    """Workers that extract side by side."""
    unit_size: int = 16
    """Clips that are committed together, as for beam run features."""
    extractors: str = ",".join(DEFAULT_EXTRACTORS)
    """Which extractors run, separated by commas, for the size of the tables."""
    resnet152_frames: Literal["mean", "keep"] = "mean"
    """Store the mean of a second's 8 ResNet-152 vectors, or each of them."""
    proposals: int = 10
    """Region proposals a second."""
    worker_life_hours: float | None = None
    """Mean hours until the engine takes a worker away; left out: it takes none."""
    worker_start_s: float = 180.0
    """Seconds from when a worker is paid until it begins its first unit."""
    unit_overhead_s: float = 0.4
    """Seconds that a unit takes beside its clips; docs/scale.md tells how to measure it."""
    price_worker_hour: float = 0.0
    """Price of a worker for an hour, in any currency; with a price the costs are printed too."""
    price_gpu_hour: float = 0.0
    """Price of a worker's GPU for an hour, where it is not in the worker's."""
    price_gb_month: float = 0.0
    """Price of a GB stored for a month."""
    price_gb_out: float = 0.0
    """Price of a GB of tables that is brought to where the training runs."""
    months: float = 1.0
    """Months that media and tables are stored."""


@dataclass(frozen=True)
class Plan:
    """What a configuration and a manifest come to."""

    options: Options
    count: Count
    like: Measured | None

    @property
    def clip_s(self) -> float:
        """Seconds of one worker for a clip."""
        if self.options.seconds_per_clip is not None:
            return self.options.seconds_per_clip
        return self.like.seconds_a_clip if self.like else _USUAL_SECONDS

    @property
    def workload(self) -> Workload:
        """Units on workers that may be taken away."""
        life = self.options.worker_life_hours
        return Workload(
            clip_s=self.clip_s, unit_s=self.options.unit_overhead_s,
            start_s=self.options.worker_start_s, life_s=3600 * life if life else math.inf,
        )  # fmt: skip

    @property
    def work_hours(self) -> float:
        """Hours of one worker for the clips alone."""
        return self.count.clips * self.clip_s / 3600

    @property
    def paid_hours(self) -> float:
        """Hours of all workers together: clips, units, starts, and what is done twice."""
        hours = self.work_hours / (1 - self.workload.share_wasted(self.options.unit_size))
        if self.options.worker_life_hours is None:
            hours += self.options.workers * self.options.worker_start_s / 3600
        return hours

    @property
    def media_gb(self) -> float:
        """Bytes of the clips' files."""
        lines = self.options.height / 360
        return self.count.seconds * _BYTES_PER_SECOND_OF_MEDIA * lines**2 / 1e9

    @cached_property
    def raw_gb(self) -> Mapping[str, float]:
        """Tables before compression."""
        recipe = RECIPES["llp-eccv20"].with_(
            extractors=read_extractors(self.options.extractors),
            resnet152_frames=self.options.resnet152_frames,
            proposals_per_snippet=self.options.proposals,
        )
        sizes = table_bytes(recipe, self.count)
        return {name: size / 1e9 for name, size in sizes.items()}

    @cached_property
    def stored_gb(self) -> Mapping[str, float]:
        """Tables as stored; before compression where no store of one's own says more."""
        if self.like is None:
            return self.raw_gb
        return {
            name: size * self.count.clips / 1e9 for name, size in self.like.bytes_a_clip.items()
        }


def run(options: Options, rest: list[str]) -> int:
    """Print the arithmetic."""
    _check(options)
    index = MediaIndex(files.list_tree(files.absolute(options.media)) if options.media else [])
    clips = read_manifest(options.dataset, options.annotations, options.split)
    count = Count.of(clips, index, options.media or "media", options.unit_size)
    if not count.clips:
        raise UsageError(f"the manifest of {options.dataset} in {options.annotations} has no clip")
    plan = Plan(options, count, Measured.of(files.absolute(options.like)) if options.like else None)
    if plan.workload.share_wasted(options.unit_size) >= 1:
        raise UsageError(
            f"a worker that lives {options.worker_life_hours:g} h never ends a unit of "
            f"{options.unit_size} clips; give a smaller --unit-size or more --worker-life-hours"
        )
    tables: dict[str, Iterator[tuple[str, ...]]] = {
        f"{options.dataset}: plan": _work(plan), "tables": _tables(plan)
    }  # fmt: skip
    if any(getattr(options, name) for name in _PRICES):
        tables["costs"] = _costs(plan)
    console = Console()
    for title, rows in tables.items():
        table = Table(title=title, show_header=False, title_justify="left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    return 0


def _check(options: Options) -> None:
    for name in _ABOVE_ZERO:
        value = getattr(options, name)
        if value is not None and not 0 < value <= _MOST:
            raise _refusal(name, value, "above 0")
    for name in _NOT_BELOW_ZERO:
        value = getattr(options, name)
        if not 0 <= value <= _MOST:
            raise _refusal(name, value, "0 or more")
    read_extractors(options.extractors)
    if options.media and files.is_local(options.media) and not Path(options.media).is_dir():
        raise UsageError(f"--media {options.media} is not a folder; give the folder with the clips")


def _refusal(name: str, value: float, least: str) -> UsageError:
    return UsageError(
        f"--{name.replace('_', '-')} is {value}; it must be {least} and at most {_MOST:g}"
    )


def _work(plan: Plan) -> Iterator[tuple[str, ...]]:
    options, count = plan.options, plan.count
    yield "clips", f"{count.clips:,} ({count.seconds / 3600:,.1f} hours of media)"
    yield "videos to download", f"{count.missing:,}"
    hours = count.missing / options.videos_per_hour / options.identities
    yield (
        "download",
        f"{hours:,.1f} h = {count.missing:,} / {options.videos_per_hour:g} an hour / "
        f"{options.identities} identities",
    )
    default = count.missing / DEFAULT_PER_HOUR * MEAN_SLOWDOWN / options.identities
    yield (
        "",
        f"{default:,.1f} h at the job's own pace: {DEFAULT_PER_HOUR:g} an hour at most, and pauses "
        "that vary",
    )
    yield "media", f"about {plan.media_gb:,.1f} GB at {options.height} lines"
    yield (
        "extraction",
        f"{plan.work_hours:,.1f} worker hours = {count.clips:,} x {plan.clip_s:.3g} s",
    )
    yield (
        "",
        f"{plan.paid_hours:,.1f} worker hours with starts, commits and losses, "
        f"{plan.paid_hours / options.workers:,.1f} h on {options.workers:,} workers",
    )
    yield from _units(plan)


def _units(plan: Plan) -> Iterator[tuple[str, ...]]:
    options, count = plan.options, plan.count
    units = math.ceil(count.clips / options.unit_size)
    yield "units", f"{units:,} of {options.unit_size} clips, {units:,} files a table before a pack"
    yield "shuffle", f"{count.shuffled / 1e6:,.1f} MB of ids, labels and file names"
    wasted = plan.workload.share_wasted(options.unit_size)
    life = options.worker_life_hours
    if life is None:
        yield "wasted", f"{wasted:.1%} of the time, between units"
        return
    best = plan.workload.best_unit_size()
    yield (
        "wasted",
        f"{wasted:.1%} of the time when a worker lives {life:g} h on average; least with "
        f"--unit-size {best}: {plan.workload.share_wasted(best):.1%}",
    )


def _tables(plan: Plan) -> Iterator[tuple[str, ...]]:
    for name, size in plan.raw_gb.items():
        yield name, f"{size:,.2f} GB before compression, float32"
    yield "all", f"at most {sum(plan.raw_gb.values()):,.2f} GB before compression"
    if plan.like is not None:
        for name, size in plan.stored_gb.items():
            yield f"{name}, stored", f"{size:,.2f} GB as in {plan.options.like}"
        yield "all, stored", f"{sum(plan.stored_gb.values()):,.2f} GB"


def _costs(plan: Plan) -> Iterator[tuple[str, ...]]:
    """What is paid for, the amount, and where it comes from."""
    options = plan.options
    hours, media, tables = plan.paid_hours, plan.media_gb, sum(plan.stored_gb.values())
    sums = {
        "workers": (hours, "h", options.price_worker_hour),
        "their GPUs": (hours, "h", options.price_gpu_hour),
        "media stored": (media * options.months, "GB months", options.price_gb_month),
        "tables stored": (tables * options.months, "GB months", options.price_gb_month),
        "tables brought out": (tables, "GB", options.price_gb_out),
    }
    for name, (amount, unit, price) in sums.items():
        if price:
            yield name, f"{amount * price:,.2f}", f"{amount:,.1f} {unit} x {price:g}"
    yield "all", f"{sum(amount * price for amount, _, price in sums.values()):,.2f}", ""
