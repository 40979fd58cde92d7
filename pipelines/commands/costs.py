"""What a job costs: hours of workers and downloads, bytes, money; from counts and measurements."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.table import Table

from pipelines.commands.estimate import Count, Measured, table_bytes
from pipelines.commands.plan import Options
from pipelines.commands.preemption import Workload
from pipelines.jobs.download.identity import DEFAULT_PER_HOUR
from pipelines.jobs.download.rate_limit import MEAN_SLOWDOWN
from pipelines.jobs.features.pace import Pace, last_pace
from pipelines.jobs.options import check_dataset, read_extractors
from pipelines.media.media_index import MediaIndex
from pipelines.store import files
from schemas import RECIPES, Recipe, UsageError
from schemas.features import DEFAULT_EXTRACTORS, IMAGE_TABLES
from schemas.manifests import WITH_MEDIA, read_manifest
from schemas.manifests.sources import fetch_annotations
from schemas.published import cache_folder
from schemas.recipe import FRAME_SETTINGS
from schemas.settings import screen

_BYTES_PER_SECOND_OF_MEDIA = 62_000
"""The mean of 17 clips of LLP, AVE and VAS as labs pass them on, 240 to 360 lines."""
_SETTINGS = {
    "resnet152_frames": "resnet152_frames", "proposals": "proposals_per_snippet",
    **{name: name for name in FRAME_SETTINGS},
}  # fmt: skip
"""Options that change the recipe, and the setting of each."""
_PRICES = ("price_worker_hour", "price_gpu_hour", "price_gb_month", "price_gb_out")


@dataclass(frozen=True)
class Plan:
    """What a job on the clips of a data set will take."""

    options: Options
    count: Count
    like: Measured | None

    @property
    def clip_s(self) -> float:
        """Seconds of one worker per clip."""
        if self.options.seconds_per_clip is not None:
            return self.options.seconds_per_clip
        return self.pace.work(self.recipe.extractors)

    @cached_property
    def pace(self) -> Pace:
        """What clips took, as far as it is known."""
        return self.like.pace if self.like else last_pace(self.recipe.extractors)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of `--like`, or the usual one, with the options that change it."""
        base = self.like.recipe if self.like else RECIPES["llp-eccv20"]
        named = self.options.extractors or ",".join(
            self.like.recipe.extractors if self.like else DEFAULT_EXTRACTORS
        )
        given = {
            setting: getattr(self.options, option)
            for option, setting in _SETTINGS.items()
            if not self.like or getattr(self.options, option) != getattr(Options, option)
        }
        return base.with_(extractors=read_extractors(named), **given)

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
        sizes = table_bytes(self.recipe, self.count)
        return {name: size / 1e9 for name, size in sizes.items()}

    @cached_property
    def stored_gb(self) -> Mapping[str, float]:
        """Tables as stored; before compression where there is no store to go by."""
        if self.like is None:
            return self.raw_gb
        return {
            name: size * self.count.clips / 1e9 for name, size in self.like.bytes_per_clip.items()
        }


def print_plan(options: Options) -> int:
    """Count the clips of a data set and print what a job on them would take."""
    if options.extractors is not None:
        read_extractors(options.extractors)
    if options.media and files.is_local(options.media) and not Path(options.media).is_dir():
        raise UsageError(f"--media {options.media} is not a folder; give the folder with the clips")
    index = MediaIndex(files.list_tree(files.absolute(options.media)) if options.media else [])
    annotations = _annotations(options)
    clips = read_manifest(options.dataset, annotations, options.split)
    count = Count.of(clips, index, options.media or "media", options.unit_size)
    if not count.clips:
        raise UsageError(f"the manifest of {options.dataset} in {annotations} has no clip")
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
    console = screen.results()
    for title, rows in tables.items():
        table = Table(title=title, show_header=False, title_justify="left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    return 0


def _annotations(options: Options) -> str:
    """Return the folder of the annotation files, as a features job finds it."""
    check_dataset(options.dataset)
    if options.annotations is not None:
        return options.annotations
    if options.dataset == "demo":
        raise UsageError("the demo world is made by its job; give its folder with --annotations")
    if options.dataset in WITH_MEDIA:
        if options.media is None:
            raise UsageError(
                f"data set {options.dataset} needs --media, the folder or URI with its clips"
            )
        return options.media
    return str(fetch_annotations(options.dataset, cache_folder() / "annotations"))


def _work(plan: Plan) -> Iterator[tuple[str, ...]]:
    options, count = plan.options, plan.count
    yield "clips", f"{count.clips:,} ({count.seconds / 3600:,.1f} hours of media)"
    yield "videos to download", f"{count.missing:,}"
    hours = count.missing / options.videos_per_hour / options.identities
    yield (
        "download",
        f"{hours:,.1f} h = {count.missing:,} / {options.videos_per_hour:g} per hour / "
        f"{options.identities} identities",
    )
    default = count.missing / DEFAULT_PER_HOUR * MEAN_SLOWDOWN / options.identities
    yield (
        "",
        f"{default:,.1f} h at the job's own pace: {DEFAULT_PER_HOUR:g} per hour at most, and "
        "pauses that vary",
    )
    yield "media", f"about {plan.media_gb:,.1f} GB at {options.height} lines"
    yield (
        "extraction",
        f"{plan.work_hours:,.1f} worker hours = {count.clips:,} x {plan.clip_s:.3g} s",
    )
    if options.seconds_per_clip is None:
        yield "", f"{plan.clip_s:.3g} s a clip, as {plan.pace.source}"
    yield (
        "",
        f"{plan.paid_hours:,.1f} worker hours with starts, commits and losses, "
        f"{plan.paid_hours / options.workers:,.1f} h on {options.workers:,} workers",
    )
    yield from _units(plan)


def _units(plan: Plan) -> Iterator[tuple[str, ...]]:
    options, count = plan.options, plan.count
    units = math.ceil(count.clips / options.unit_size)
    yield (
        "units",
        f"{units:,} of {options.unit_size} clips, {units:,} files per table before a pack",
    )
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
        form = f"{plan.options.frames_format}, about" if name in IMAGE_TABLES else "float32"
        yield name, f"{size:,.2f} GB before compression, {form}"
    yield "all", f"at most {sum(plan.raw_gb.values()):,.2f} GB before compression"
    if plan.like is not None:
        for name, size in plan.stored_gb.items():
            yield f"{name}, stored", f"{size:,.2f} GB as in {plan.options.like}"
        yield "all, stored", f"{sum(plan.stored_gb.values()):,.2f} GB"


def _costs(plan: Plan) -> Iterator[tuple[str, ...]]:
    """Yield what is paid for, the amount, and where it comes from."""
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
