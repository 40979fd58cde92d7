"""Read one epoch of a store as a training does, and print how fast: STORE WORKERS BUFFER BATCH.

A program of its own, so that it also measures another checkout (`PYTHONPATH`).
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch

from models.data.streaming.clips import open_stream
from models.nets.tagging.fayek_audio import Config


def processor_seconds() -> float:
    """Return the seconds that this process and its ended children have computed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main(store: str, workers: str, buffer_clips: str, batch: str) -> None:
    """Print clips per second of the clock, and clips per second of a processor core."""
    torch.set_num_threads(1)
    data = open_stream(
        Path(store), ("logmel",), buffer_clips=int(buffer_clips), workers=int(workers)
    )
    config = Config(classes=len(data.vocabulary), batch_size=int(batch))
    order = data.order(config, 1)
    clock, used, seen = time.perf_counter(), processor_seconds(), 0
    for one in data.load(list(order.split(int(batch)))):  # type: ignore[no-untyped-call]
        seen += len(one.labels)
    clock, used = time.perf_counter() - clock, processor_seconds() - used
    found = {"clips_a_second": seen / clock, "clips_a_core_second": seen / used}
    sys.stdout.write(json.dumps({name: round(value, 1) for name, value in found.items()}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
