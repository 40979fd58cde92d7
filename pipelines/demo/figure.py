"""A figure of one clip with its truth: frames and boxes, waveform and spectrogram, a timeline."""

import csv
import itertools
import tempfile
import wave
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipelines.demo.motion import HEIGHT, WIDTH
from pipelines.demo.scene import SECONDS
from pipelines.demo.synthesis import RATE
from pipelines.media.ffmpeg import run_child
from schemas import JobError, UsageError
from schemas.demo import (
    AUDIO_FILE,
    BOXES_FILE,
    CLASSES_FILE,
    CLIPS_FILE,
    FRAME_RATE,
    VISUAL_FILE,
)
from schemas.machine.ffmpeg import ffmpeg_binary
from schemas.page import palette

Row = tuple[str, int, int]


def draw_clip(folder: Path, clip_key: str, png_path: Path) -> Path:
    """Draw one clip of the world in `folder` as a PNG and return its path.

    On top ten frames, one from the middle of each second, with the true boxes; below the waveform,
    the spectrogram, and when each class is heard (dark) and seen (light). `UsageError` when the
    folder has no such clip.
    """
    media = Path(folder) / f"{clip_key}.mp4"
    if not media.is_file():
        raise UsageError(f"{folder} has no demo clip {clip_key!r}; take a key of {CLIPS_FILE}")
    heard = _events(Path(folder) / AUDIO_FILE, clip_key)
    seen = _events(Path(folder) / VISUAL_FILE, clip_key)
    names = (Path(folder) / CLASSES_FILE).read_text(encoding="utf-8").split()
    present = [name for name in names if any(row[0] == name for row in heard + seen)]
    tint = dict(zip(present, itertools.cycle(palette.SERIES)))
    frames, waveform = decode(media)
    figure = Figure(figsize=(14, 10), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.add_gridspec(5, 5, height_ratios=(2.1, 2.1, 0.9, 1.5, 1.3))
    boxes = pq.read_table(Path(folder) / BOXES_FILE, filters=[("clip_key", "=", clip_key)])
    for second in range(SECONDS):
        axes = figure.add_subplot(rows[second // 5, second % 5])
        _draw_frame(axes, frames, second, boxes.to_pylist(), tint)
    _draw_waveform(figure.add_subplot(rows[2, :]), figure.add_subplot(rows[3, :]), waveform)
    _draw_timeline(figure.add_subplot(rows[4, :]), heard, seen, tint)
    figure.suptitle(f"{clip_key} with its truth\ndata set demo: generated, no weights")
    figure.savefig(png_path, dpi=80, metadata={"Software": None})
    return Path(png_path)


def decode(media: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return RGB frames [F, H, W, 3] and the mono waveform [S] at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        command = [
            ffmpeg_binary(), "-nostdin", "-v", "error", "-y", "-i", str(media),
            "-map", "0:v", "-f", "rawvideo", "-pix_fmt", "rgb24", str(work / "frames.rgb"),
            "-map", "0:a", "-ac", "1", "-ar", str(RATE), str(work / "waveform.wav"),
        ]  # fmt: skip
        if run_child(command, timeout_s=60, log=work / "ffmpeg.log") != 0:
            words = (work / "ffmpeg.log").read_text(errors="replace").strip()
            raise JobError(f"{media} cannot be decoded, ffmpeg says: {words[-300:]}")
        frames = np.fromfile(work / "frames.rgb", np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
        with wave.open(str(work / "waveform.wav")) as source:
            waveform = np.frombuffer(source.readframes(source.getnframes()), "<i2") / 32768
    return frames, waveform


def _events(path: Path, clip_key: str) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as table:
        return [
            (row["event_labels"], int(row["onset"]), int(row["offset"]))
            for row in csv.DictReader(table, delimiter="\t")
            if row["filename"] == clip_key
        ]


def _draw_frame(
    axes: Axes,
    frames: NDArray[np.uint8],
    second: int,
    boxes: list[dict[str, float]],
    tint: dict[str, str],
) -> None:
    index = second * FRAME_RATE + FRAME_RATE // 2
    axes.imshow(frames[index])
    axes.set_axis_off()
    axes.set_title(f"{second + 0.5:g} s", fontsize=9)
    for box in boxes:
        if box["frame_index"] == index:
            corner = (box["x0"] * WIDTH, box["y0"] * HEIGHT)
            size = ((box["x1"] - box["x0"]) * WIDTH, (box["y1"] - box["y0"]) * HEIGHT)
            label = str(box["label"])
            axes.add_patch(Rectangle(corner, *size, fill=False, lw=2, edgecolor=tint[label]))
            axes.text(*corner, label, fontsize=8, color="white",
                      bbox={"facecolor": tint[label], "edgecolor": "none", "pad": 1})  # fmt: skip


def _draw_waveform(wave_axes: Axes, spectrum_axes: Axes, waveform: NDArray[np.float64]) -> None:
    wave_axes.plot(np.arange(len(waveform)) / RATE, waveform, lw=0.3, color=palette.BLUE)
    wave_axes.set(xlim=(0, SECONDS), ylabel="waveform", xticks=range(SECONDS + 1))
    windows = np.lib.stride_tricks.sliding_window_view(waveform, 512)[::256] * np.hanning(512)
    power = 20 * np.log10(np.abs(np.fft.rfft(windows)).T + 1e-4)
    spectrum_axes.imshow(
        power, origin="lower", aspect="auto", cmap=palette.SCALE, vmin=-50,
        extent=(0, len(waveform) / RATE, 0, RATE / 2),
    )  # fmt: skip
    bar = spectrum_axes.inset_axes((1.005, 0, 0.01, 1))
    spectrum_axes.figure.colorbar(spectrum_axes.images[0], cax=bar, label="dB")
    spectrum_axes.set(xlim=(0, SECONDS), ylabel="Hz", xticks=range(SECONDS + 1))


def _draw_timeline(axes: Axes, heard: list[Row], seen: list[Row], tint: dict[str, str]) -> None:
    present = list(tint)
    for rows, lift, strength in ((heard, 0.06, 1.0), (seen, -0.36, 0.45)):
        for label, onset, offset in rows:
            axes.broken_barh(
                [(onset, offset - onset)], (present.index(label) + lift, 0.3),
                facecolors=tint[label], alpha=strength,
            )  # fmt: skip
    axes.set(xlim=(0, SECONDS), xticks=range(SECONDS + 1), xlabel="seconds; dark heard, light seen")
    axes.set_yticks(range(len(present)), present)
    axes.set_ylim(-0.6, max(len(present), 1) - 0.4)
    axes.grid(axis="x", alpha=0.4)
