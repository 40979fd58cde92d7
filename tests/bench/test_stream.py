"""`make bench`: an epoch over 100,000 clips from shards, against the same arrays as .npy files."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from models.data.streaming.clips import StreamedClips, open_stream
from models.nets.tagging.fayek_audio import Config
from tests.bench.machine import describe
from tests.bench.pictures import draw
from tests.places import BENCHMARKS
from tests.stores.tagging import CLASSES, write_tagging_store

CLIPS, CLIPS_A_FILE, BATCH, BUFFER = 100_000, 16, 64, 1024
MARKS = 20
"""How often the memory is looked at in an epoch."""


def memory_mb() -> float:
    """Memory of this process and of its loader processes, shared pages counted once each."""
    own = psutil.Process()
    parts = [one.memory_full_info().pss for one in (own, *own.children(recursive=True))]
    return sum(parts) / 2**20


def drive(batches: Iterator[torch.Tensor]) -> dict[str, Any]:
    """Go through batches [B, ...]: clips a second, and the memory on the way in MB."""
    seen, marks = 0, [round(memory_mb(), 1)]
    started, pause = time.perf_counter(), 0.0
    for batch in batches:
        seen += len(batch)
        if seen >= len(marks) * CLIPS // MARKS:
            looked = time.perf_counter()
            marks.append(round(memory_mb(), 1))
            pause += time.perf_counter() - looked
    seconds = time.perf_counter() - started - pause
    assert seen == CLIPS
    return {"clips_a_second": round(seen / seconds, 1), "memory_mb": marks}


def from_shards(data: StreamedClips, epoch: int) -> Iterator[torch.Tensor]:
    """Batches of one shuffled epoch, as the trainer takes them."""
    order = data.order(Config(classes=len(CLASSES), batch_size=BATCH), epoch)
    chunks = list(order.split(BATCH))  # type: ignore[no-untyped-call]
    return (batch.features["logmel"] for batch in data.load(chunks))


def from_files(folder: Path) -> Iterator[torch.Tensor]:
    """Batches of .npy files in random order, one file a clip."""
    order = np.random.default_rng(1).permutation(CLIPS)
    for first in range(0, CLIPS, BATCH):
        clips = [np.load(folder / f"{row}.npy") for row in order[first : first + BATCH]]
        yield torch.from_numpy(np.stack(clips))


def write_files(data: StreamedClips, folder: Path) -> None:
    """One .npy file a clip, with what the store holds."""
    folder.mkdir()
    for first in range(0, CLIPS, 1024):
        rows = torch.arange(first, min(CLIPS, first + 1024))
        for row, values in zip(
            rows.tolist(), data.batch(rows).features["logmel"].numpy(), strict=True
        ):
            np.save(folder / f"{row}.npy", values)


@pytest.mark.bench
def test_streaming_100_000_clips(tmp_path: Path) -> None:
    store = write_tagging_store(
        tmp_path / "store", train=CLIPS, val=0, test=0, seconds=1, features=("logmel",),
        parts=CLIPS // CLIPS_A_FILE,
    )  # fmt: skip
    started = time.perf_counter()
    data = open_stream(store, ("logmel",), buffer_clips=BUFFER)
    opened = time.perf_counter() - started
    write_files(data, tmp_path / "npy")
    found: dict[str, Any] = {"npy": drive(from_files(tmp_path / "npy"))}
    shutil.rmtree(tmp_path / "npy")
    for workers in (0, 2):
        data = open_stream(store, ("logmel",), buffer_clips=BUFFER, workers=workers)
        found[f"shards, {workers} loader processes"] = drive(from_shards(data, workers + 1))
    report = {
        "what": f"one epoch of {CLIPS} clips of one second of log-mel (25.6 kB), batches of "
        f"{BATCH}, files of {CLIPS_A_FILE} clips, shuffled in buffers of {BUFFER}, page cache warm",
        "machine": describe(),
        "seconds_to_open": round(opened, 2),
        **found,
    }
    (BENCHMARKS / "stream.json").write_text(json.dumps(report, indent=1) + "\n")
    draw("stream.png")
    for name, one in found.items():
        early, late = one["memory_mb"][MARKS // 4], max(one["memory_mb"][MARKS // 4 :])
        assert late < early + 150, name
