"""Clips of a store that is too large for memory, read part by part during the training.

The order of an epoch goes through the parts at random and shuffles the clips of a buffer of parts,
so that each part is read once per epoch. Threads that read ahead have different parts, and so do
the processes of a data parallel training. The order follows from seed, epoch and settings alone: a
training that goes on in the middle of an epoch skips what is done without reading it.

Letters: N clips, C classes, T seconds.
"""

import logging
from collections import deque
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
from models.data.bags import BAGS, refuse_lacking
from models.data.clips import open_clips
from models.data.integrity import refuse_miscounted
from models.data.parquet import MEMORY_LIMIT, open_part
from models.data.pixels import FRAMES, open_pixels
from models.data.sampling import deal_parts, epoch_rows, interleave, mix_parts, shuffled_parts
from models.data.source import ClipSource, ClipTable, read_clip_table
from models.data.streaming.readers import BagReader, ClipReader, JoinedReader, Reader, Tensors
from models.data.streaming.row_groups import Part, find_parts
from models.data.truth import read_truth
from models.runtime import distributed as parallel
from schemas import (
    SNIPPETS,
    StoreManifest,
    TableName,
    UsageError,
    read_store_manifest,
    tensor_shape,
)
from schemas.features import extractor_of

AHEAD = 4
"""Batches that a thread reads ahead of the training."""
BUFFER_BYTES = 2**30
"""Bytes that the features of two shuffle buffers take at most, as float32."""
SMALLEST_BUFFER = 64
"""Clips that a buffer has whatever their size."""

logger = logging.getLogger(__name__)


def read_ahead(
    readers: Sequence[ClipReader], chunks: Sequence[Tensor], pin: bool = False
) -> Iterator[Tensors]:
    """Yield what threads read of each chunk, in order; every thread has a reader of its own.

    Decoding and copying let other threads run, and nothing is copied from one to another. With
    `pin` the arrays lie where a GPU fetches them without waiting.
    """

    def read(reader: ClipReader, rows: Tensor) -> Tensors:
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
    """Parts of the table that an epoch goes through: the largest."""
    part_of: NDArray[np.int64]
    """[N] part of each clip."""
    buffer_clips: int
    """Clips among which an epoch is shuffled at any time, in all reading threads together."""
    workers: int
    """Threads that read ahead; 0 reads when a batch is asked for."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where batches go."""
    reader: ClipReader
    """Reader of single batches."""

    def shape(self, feature: str) -> tuple[int, ...]:
        """Return the shape of a feature in one second, as the first file has it; of an instance."""
        if feature in BAGS:
            return BAGS[feature].shape
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

    def _own_reader(self) -> ClipReader:
        """Return a reader for one thread: two buffers, old and new, fit in it."""
        return self.reader.fresh(2 * self.buffer_clips // self.workers)

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

    Large is what exceeds `memory_limit` bytes. Clips of models that parse are never streamed;
    stored frames are read when they are needed.
    """
    if FRAMES in needs:
        assert isinstance(config, PixelConfig)
        left = [name for name in needs if name != FRAMES]
        others = open_data(root, left, annotations, config, memory_limit) if left else None
        return open_pixels(read_clip_table(root), config, others)
    stream = config.stream if isinstance(config, TaggingConfig) else "no"
    if stream == "no" or not needs:
        return open_clips(root, needs, annotations)
    if stream == "auto" and feature_bytes(read_store_manifest(root), needs) <= memory_limit:
        return open_clips(root, needs, annotations)
    assert isinstance(config, TaggingConfig)
    return open_stream(
        root, needs, annotations, buffer_clips=config.buffer_clips, workers=config.workers
    )


def feature_bytes(manifest: StoreManifest, needs: Sequence[str]) -> int:
    """Return the bytes of the features of all seconds, and of all instances, of a store."""
    return sum(bytes_of_table(manifest, table, names) for table, names in tables_of(needs).items())


def tables_of(needs: Sequence[str]) -> dict[TableName, list[str]]:
    """Return which features lie in which table."""
    tables: dict[TableName, list[str]] = {}
    for name in needs:
        tables.setdefault(BAGS[name].table if name in BAGS else SNIPPETS, []).append(name)
    return tables


def bytes_of_table(manifest: StoreManifest, table: TableName, needs: Sequence[str]) -> int:
    """Return the bytes of the features of a table's rows as float32."""
    rows = width = 0
    for index, path in enumerate(manifest.paths(table)):
        part = open_part(path)
        rows += part.metadata.num_rows
        if not index:
            shapes = [
                BAGS[name].shape if name in BAGS else tensor_shape(part.schema_arrow.field(name))
                for name in needs
                if name in BAGS or name in part.schema_arrow.names
            ]
            width = sum(int(np.prod(shape or ())) for shape in shapes)
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
    manifest, tables = table.manifest, tables_of(needs)
    sizes = {name: bytes_of_table(manifest, name, own) for name, own in tables.items()}
    largest = max(sizes, key=lambda name: sizes[name])
    buffer_clips = fitting(buffer_clips, sum(sizes.values()) // len(table.keys))
    readers = {
        name: open_reader(table, name, own, 2 * buffer_clips) for name, own in tables.items()
    }
    main = readers[largest]
    logger.info("%d clips in %d files are streamed", len(table.keys), len(manifest.paths(largest)))
    dense = read_truth(table, annotations)
    return StreamedClips(
        **vars(table),
        truth=dense.grid,
        dense_splits=dense.splits,
        truth_edition=dense.edition,
        sound_events=dense.sound_events,
        needs=tuple(needs),
        parts=tuple(main.parts),
        part_of=filled(main.part_of),
        buffer_clips=buffer_clips,
        workers=workers,
        reader=main if len(readers) == 1 else JoinedReader([*readers.values()]),
    )


def open_reader(
    clips: ClipTable, table: TableName, needs: Sequence[str], most: int
) -> Reader | BagReader:
    """Return a reader of features of one table; `UsageError` when the table is not whole."""
    manifest, keys = clips.manifest, clips.keys
    if table != SNIPPETS:
        refuse_miscounted(manifest, table)
        for name in needs if manifest.paths(table) else ():
            schema = open_part(manifest.paths(table)[0]).schema_arrow
            refuse_lacking(manifest.root, BAGS[name], schema)
    parts, part_of = find_parts(manifest.root, manifest.paths(table), keys, whole=table == SNIPPETS)
    if not parts:
        raise UsageError(
            f"{manifest.root} has no row in table {table}; run the features job again with "
            f"extractor {extractor_of(needs[0])}"
        )
    kind = Reader if table == SNIPPETS else BagReader
    return kind(parts, part_of, keys, tuple(needs), clips.seconds, most)


def filled(part_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the part of each clip, [N]; one that lies in none has that of the clip before it.

    >>> filled(np.array([-1, 0, 0, -1, 1])).tolist()
    [0, 0, 0, 0, 1]
    """
    last = np.maximum.accumulate(np.where(part_of >= 0, np.arange(len(part_of)), 0))
    return np.maximum(part_of[last], 0)


def fitting(clips: int, bytes_each: int) -> int:
    """Return how many clips the shuffle buffer has: fewer where two would exceed `BUFFER_BYTES`."""
    fewer = max(SMALLEST_BUFFER, BUFFER_BYTES // max(1, 2 * bytes_each))
    if fewer < clips:
        logger.info("the shuffle buffer has %d clips instead of %d: they are large", fewer, clips)
    return min(clips, fewer)
