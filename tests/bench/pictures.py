"""Pictures of docs/benchmarks, each from its JSON; `python -m tests.bench.pictures` draws all."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from models.runtime.figures import legend_outside, save, titled
from pipelines.commands.preemption import Workload
from schemas.page import palette
from tests.places import BENCHMARKS

STAGES = ("frames", "vggish", "resnet152", "r2plus1d", "write")
"""What the seconds of a clip go to, in order."""
METRICS = ("segment_type_av", "event_type_av")
STREAMS = {"two_stream-audio": "audio", "two_stream-video": "visual", "two_stream": "both"}
"""Experiments whose classes are drawn, and what their nets are given."""

Report = Mapping[str, Any]


def framed(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of one drawing, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def draw_extract(report: Report) -> Figure:
    """Stacked bars: where the seconds of one clip go."""
    bars = {"plain scripts, fp32": report["plain"]}
    bars |= {f"earsight, {name}": one["seconds"] for name, one in report["ours"].items()}
    figure, ax = framed(8, 3)
    left = np.zeros(len(bars))
    for stage, colour in zip(STAGES, palette.SERIES, strict=False):
        width = np.array([bar.get(stage, 0.0) for bar in bars.values()])
        ax.barh(list(bars), width, left=left, color=colour, label=stage)
        left += width
    ax.invert_yaxis()
    ax.set_xlabel("seconds for one clip of 10 s")
    legend_outside(ax, columns=len(STAGES))
    titled(figure, "where the seconds of one clip go", "a test card of 10 s, weights seeded")
    return figure


def draw_preemption(report: Report) -> Figure:
    """Waste against unit size: the formula as lines, the simulation as dots."""
    figure, ax = framed(7, 4.4)
    seconds, default = report["seconds"], report["default_unit_size"]
    start = seconds["start_without_machine_and_image"]
    for (life, one), colour in zip(report["by_mean_life"].items(), palette.SERIES, strict=False):
        life_s = 3600 * int(life.removesuffix(" h"))
        work = Workload(
            clip_s=seconds["clip"], unit_s=seconds["unit"], start_s=start, life_s=life_s
        )
        sizes = [int(size) for size in one["simulated"]]
        between = np.unique(np.geomspace(sizes[0], sizes[-1], 200).astype(int)).tolist()
        shares = [100 * work.share_wasted(size) for size in between]
        ax.plot(between, shares, color=colour, label=f"mean life {life}")
        seen = 100 * np.array(list(one["simulated"].values()))
        ax.plot(sizes, seen, "o", color=colour, markersize=4)
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.axvline(default, color=palette.GREY, linestyle=":", label=f"default, {default} clips")
    ax.set_ylim(bottom=0)
    ax.set_xlabel("clips in a unit")
    ax.set_ylabel("per cent of the paid time wasted")
    legend_outside(ax, columns=4)
    titled(figure, "time lost when workers are taken away", "line: formula, dots: simulation")
    return figure


def draw_stream(report: Report) -> Figure:
    """Memory over the epoch, and clips a second."""
    ways = {
        name: one for name, one in report.items() if isinstance(one, dict) and "memory_mb" in one
    }
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for colour, (name, one) in zip(palette.SERIES, ways.items(), strict=False):
        percent = np.linspace(0, 100, len(one["memory_mb"]))
        left.plot(percent, one["memory_mb"], color=colour, label=name)
    left.set_xlabel("per cent of the epoch")
    left.set_ylabel("memory, MB")
    left.set_ylim(0, 1.1 * max(max(one["memory_mb"]) for one in ways.values()))
    legend_outside(left)
    speeds = [one["clips_a_second"] for one in ways.values()]
    right.barh(list(ways), speeds, color=list(palette.SERIES[: len(ways)]))
    right.invert_yaxis()
    right.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    right.set_xlabel("clips a second")
    titled(figure, "one epoch of 100,000 clips of log-mel", "random features, no weights")
    return figure


def draw_demo(report: Report) -> Figure:
    """Segment and event Type@AV of each experiment as dots, with the deviation of its seeds."""
    found = {name: one for name, one in report["parsing"].items() if METRICS[0] in one}
    figure, ax = framed(7.5, 1.6 + 0.24 * len(found))
    rows = np.arange(len(found))
    spread_dots(ax, rows, [[one[metric] for one in found.values()] for metric in METRICS], METRICS)
    ax.set_yticks(rows, list(found), fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel("F, per cent")
    legend_outside(ax, columns=2)
    clips = f"data set demo, {report['clips']['test']} test clips, weights seeded:0"
    titled(figure, "parsing: mean of the seeds, deviation where there are several", clips)
    return figure


def draw_parekh(report: Report) -> Figure:
    """Average precision of each class from the audio, from the visual stream, and from both."""
    classes = report["average_precision_of_classes"]
    names = list(classes["two_stream"])
    figure, ax = framed(7.5, 1.6 + 0.32 * len(names))
    rows = np.arange(len(names))
    values = [[classes[run][name] for name in names] for run in STREAMS]
    spread_dots(ax, rows, values, list(STREAMS.values()), most=1)
    ax.set_yticks(rows, names)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel("average precision")
    legend_outside(ax, columns=3)
    titled(figure, "classes of the test clips: mean and deviation of three seeds", report["origin"])
    return figure


def spread_dots(
    ax: Axes,
    rows: np.ndarray[Any, np.dtype[np.int64]],
    values: Sequence[Sequence[Sequence[float]]],
    labels: Sequence[str],
    most: float = 100,
) -> None:
    """Draw means as dots with lines of one deviation to each side that stay within 0 and `most`.

    `values` has a mean and a deviation for each label and row.
    """
    ax.hlines(rows, 0, most, color=palette.GREY, alpha=0.25, linewidth=0.6)
    shifts = np.linspace(-0.22, 0.22, len(labels))
    for shift, each, label, colour, mark in zip(
        shifts, values, labels, palette.SERIES, "oD^", strict=False
    ):
        mean, deviation = np.array(each).T
        within = np.stack([np.minimum(deviation, mean), np.minimum(deviation, most - mean)])
        ax.errorbar(
            mean, rows + shift, xerr=within, fmt=mark, color=colour, markersize=5, label=label,
            clip_on=False,
        )  # fmt: skip


DRAWINGS: dict[str, tuple[str, Callable[[Report], Figure]]] = {
    "demo.png": ("demo.json", draw_demo),
    "extract.png": ("extract.json", draw_extract),
    "parekh-classes.png": ("parekh.json", draw_parekh),
    "preemption.png": ("preemption.json", draw_preemption),
    "stream.png": ("stream.json", draw_stream),
}
"""Pictures, what they are drawn from, and how."""


def draw(name: str, folder: Path = BENCHMARKS) -> None:
    """Draw a picture of docs/benchmarks from its JSON, which has been written before."""
    source, drawing = DRAWINGS[name]
    save(drawing(json.loads((BENCHMARKS / source).read_text())), folder / name)


if __name__ == "__main__":
    for picture in DRAWINGS:
        draw(picture)
