"""Clips of a store that is too large for memory, read part by part during the training.

The order of an epoch goes through the parts at random and shuffles the clips of a buffer of parts,
so that each part is read once per epoch. Threads that read ahead have different parts, and so do
the processes of a data parallel training. The order follows from seed, epoch and settings alone: a
training that goes on in the middle of an epoch skips what is done without reading it.

Letters: N clips, C classes, T seconds.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.batch import Batch
from models.contract.config import PixelConfig, TaggingConfig, TrainConfig
from models.data.bags import BAGS
from models.data.clips import open_clips
from models.data.parquet import MEMORY_LIMIT, open_part
from models.data.pixels import FRAMES, open_pixels
from models.data.row_groups import Features, Part, Present, find_parts, read_part
from models.data.sampling import deal_parts, epoch_rows, interleave, mix_parts, shuffled_parts
from models.data.source import ClipSource, read_clip_table
from models.data.truth import read_truth
from models.runtime import distributed as parallel
from schemas import StoreManifest, read_store_manifest, tensor_shape

Tensors = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Features and presence by name."""

AHEAD = 4
"""Batches that a thread reads ahead of the training."""

logger = logging.getLogger(__name__)


class Reader:
    """Reads clips by number; holds the parts that were used last, `most` clips at most."""

    def __init__(
        self, parts: Sequence[Part], part_of: NDArray[np.int64], keys: Sequence[str],
        needs: Sequence[str], seconds: int, most: int,
    ) -> None:  # fmt: skip
        self.parts, self.part_of, self.keys = parts, part_of, keys
        self.needs, self.seconds, self.most = needs, seconds, most
        self.held: OrderedDict[int, tuple[dict[str, int], Features, Present]] = OrderedDict()

    def read(self, rows: Tensor) -> Tensors:
        """Read features [B, T, *shape], as they are stored, and presence [B, T] of some clips."""
        features: Features = {}
        present = {name: np.zeros((len(rows), self.seconds), np.bool_) for name in self.needs}
        for index, row in enumerate(rows.tolist()):
            lines, values, there = self._part(int(self.part_of[row]))
            line = lines[self.keys[row]]
            for name in self.needs:
                if name not in features:
                    shape = (len(rows), *values[name].shape[1:])
                    features[name] = np.empty(shape, values[name].dtype)
                features[name][index], present[name][index] = values[name][line], there[name][line]
        return (
            {name: torch.from_numpy(values) for name, values in features.items()},
            {name: torch.from_numpy(there) for name, there in present.items()},
        )

    def read_part(self, part: int) -> tuple[dict[str, int], Features, Present]:
        """Read one part from disk."""
        return read_part(self.parts[part], self.needs, self.seconds)

    def clips_held(self) -> int:
        """Return how many clips are in memory."""
        return sum(len(lines) for lines, _, _ in self.held.values())

    def _part(self, part: int) -> tuple[dict[str, int], Features, Present]:
        if part in self.held:
            self.held.move_to_end(part)
            return self.held[part]
        self.held[part] = self.read_part(part)
        while len(self.held) > 1 and self.clips_held() > self.most:
            self.held.popitem(last=False)
        return self.held[part]


def read_ahead(
    readers: Sequence[Reader], chunks: Sequence[Tensor], pin: bool = False
) -> Iterator[Tensors]:
    """Yield what threads read of each chunk, in order; every thread has a reader of its own.

    Decoding and copying let other threads run, and nothing is copied from one to another. With
    `pin` the arrays lie where a GPU fetches them without waiting.
    """

    def read(reader: Reader, rows: Tensor) -> Tensors:
        both = reader.read(rows)
        if not pin:
            return both
        features, present = (
            {name: values.pin_memory() for name, values in part.items()} for part in both
        )
        return features, present

    threads = [ThreadPoolExecutor(1, "read-ahead") for _ in readers]
    waiting: deque[Future[Tensors]] = deque()
    try:
        for lane, rows in zip(cycle(range(len(readers))), chunks, strict=False):
            waiting.append(threads[lane].submit(read, readers[lane], rows))
            if len(waiting) > AHEAD * len(readers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for thread in threads:
            thread.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamedClips(ClipSource):
    """All clips of a store with their features on disk."""

    needs: tuple[str, ...]
    """Features that are read."""
    parts: tuple[Part, ...]
    """Parts of the table `snippets`."""
    part_of: NDArray[np.int64]
    """[N] part of each clip."""
    buffer_clips: int
    """Clips among which an epoch is shuffled at any time, in all reading threads together."""
    workers: int
    """Threads that read ahead; 0 reads when a batch is asked for."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where batches go."""
    reader: Reader
    """Reader of single batches."""

    def shape(self, feature: str) -> tuple[int, ...]:
        """Return the shape of a feature in one second, as the first file has it."""
        return tuple(tensor_shape(open_part(self.parts[0].path).schema_arrow.field(feature)) or ())

    def sample(self, split: str, clips: int) -> Tensor:
        """Return all clips of as many random files as have `clips` clips of the split."""
        rows = self.rows(split)
        groups = shuffled_parts(self.part_of[rows.numpy()], np.random.default_rng(0))
        chosen = [rows[torch.from_numpy(group)] for group in groups]
        sizes = np.cumsum([len(group) for group in chosen])
        return torch.cat(chosen[: int(np.searchsorted(sizes, clips)) + 1]).sort().values

    def order(self, config: TrainConfig, epoch: int) -> Tensor:
        """Return the training clips in the order of one epoch, part by part."""
        return self.shared_order(config, epoch, parallel.world())

    def shared_order(self, config: TrainConfig, epoch: int, processes: int) -> Tensor:
        """Return the order of one epoch for several processes, which take clips in turn.

        Every process and thread has its own parts. All processes get as many clips; the few that
        are over are left out.
        """
        rows = epoch_rows(self.rows("train"), self.labels, config, epoch)
        random = np.random.default_rng((config.seed, epoch))
        lanes = max(1, self.workers)
        shares = deal_parts(rows.numpy(), self.part_of, processes * lanes, random)
        size = max(1, self.buffer_clips // lanes)
        clips = np.bincount(self.part_of)
        mixed = [
            mix_parts(share, [int(clips[self.part_of[group[0]]]) for group in share], size, random)
            for share in shares
        ]
        own = [
            interleave(mixed[first : first + lanes], config.batch_size)
            for first in range(0, len(mixed), lanes)
        ]
        least = min(len(rows) for rows in own)
        return torch.from_numpy(np.stack([rows[:least] for rows in own], axis=1).reshape(-1))

    def batch(self, rows: Tensor, progress: float = 0.0) -> Batch:
        """Return some clips as a batch, read in this process."""
        return self._batch(self.reader.read(rows), rows, progress)

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        """Yield clips in the order given, `size` at a time, read in this process."""
        for first in range(0, len(rows), size):
            yield self.batch(rows[first : first + size])

    def load(self, chunks: Sequence[Tensor], epoch: int = 0) -> Iterator[Batch]:
        """Yield the clips of each chunk as a batch; threads read ahead."""
        if not self.workers:
            yield from super().load(chunks)
            return
        readers = [self._own_reader() for _ in range(self.workers)]
        read = read_ahead(readers, chunks, pin=self.device.type == "cuda")
        for tensors, rows in zip(read, chunks, strict=True):
            yield self._batch(tensors, rows)

    def to(self, device: torch.device) -> "StreamedClips":
        """Return the same clips with their batches on a device."""
        quality = None if self.quality is None else self.quality.to(device)
        return replace(self, device=device, quality=quality)

    def _own_reader(self) -> Reader:
        """Return a reader for one thread: two buffers, old and new, fit in it."""
        most = 2 * self.buffer_clips // self.workers
        return Reader(self.parts, self.part_of, self.keys, self.needs, self.seconds, most)

    def _batch(self, tensors: Tensors, rows: Tensor, progress: float = 0.0) -> Batch:
        features, present = (
            {name: values.to(self.device, non_blocking=True) for name, values in part.items()}
            for part in tensors
        )
        return Batch(
            features={name: values.float() for name, values in features.items()},
            present=present,
            labels=self.labels[rows].float().to(self.device),
            dropped_audio=self.dropped_labels("audio", rows),
            dropped_visual=self.dropped_labels("visual", rows),
            quality=self.quality,
            progress=progress,
        )


def open_data(
    root: Path,
    needs: Sequence[str],
    annotations: Path | None,
    config: TrainConfig,
    memory_limit: int = MEMORY_LIMIT,
) -> ClipSource:
    """Open a store for a training: streamed when the settings ask for it or when it is large.

    Large is what exceeds `memory_limit` bytes. Clips of models that parse
    and bags of instances are never streamed; stored frames are read when they are needed.
    """
    if FRAMES in needs:
        assert isinstance(config, PixelConfig)
        left = [name for name in needs if name != FRAMES]
        others = open_data(root, left, annotations, config, memory_limit) if left else None
        return open_pixels(read_clip_table(root), config, others)
    stream = config.stream if isinstance(config, TaggingConfig) else "no"
    if stream == "no" or not needs or any(name in BAGS for name in needs):
        return open_clips(root, needs, annotations)
    if stream == "auto" and feature_bytes(read_store_manifest(root), needs) <= memory_limit:
        return open_clips(root, needs, annotations)
    assert isinstance(config, TaggingConfig)
    return open_stream(
        root, needs, annotations, buffer_clips=config.buffer_clips, workers=config.workers
    )


def feature_bytes(manifest: StoreManifest, needs: Sequence[str]) -> int:
    """Return the bytes of the features of all seconds of a store."""
    rows = width = 0
    for index, path in enumerate(manifest.paths("snippets")):
        part = open_part(path)
        rows += part.metadata.num_rows
        if not index:
            fields = [
                part.schema_arrow.field(name) for name in needs if name in part.schema_arrow.names
            ]
            width = sum(int(np.prod(tensor_shape(column) or ())) for column in fields)
    return 4 * rows * width


def open_stream(
    root: Path, needs: Sequence[str], annotations: Path | None = None, *,
    buffer_clips: int = 1024, workers: int = 0,
) -> StreamedClips:  # fmt: skip
    """Open the store at `root` without reading its features; dense truth as `open_clips` has it.

    `UsageError` when `root` is no store, has no clip, names files that do not open, or has a clip
    whose seconds lie in no file or in two.
    """
    table = read_clip_table(root)
    paths = table.manifest.paths("snippets")
    parts, part_of = find_parts(root, paths, table.keys)
    reader = Reader(parts, part_of, table.keys, tuple(needs), table.seconds, 2 * buffer_clips)
    logger.info("%d clips in %d files are streamed", len(table.keys), len(paths))
    dense = read_truth(table, annotations)
    return StreamedClips(
        **vars(table),
        truth=dense.grid,
        dense_splits=dense.splits,
        truth_edition=dense.edition,
        sound_events=dense.sound_events,
        needs=tuple(needs),
        parts=tuple(parts),
        part_of=part_of,
        buffer_clips=buffer_clips,
        workers=workers,
        reader=reader,
    )
