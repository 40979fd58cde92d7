"""Clips of a store that is too large for memory, read shard by shard while the training goes on.

The order of an epoch goes through the shards at random and shuffles the clips of a buffer of
shards, so that each shard is read once an epoch. Loader processes read different shards, and so do
the processes of a data parallel training. The order follows from seed, epoch and settings alone: a
training that goes on in the middle of an epoch skips what is done without reading it.

Letters: N clips, C classes, T seconds.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.contract.batch import Batch
from models.contract.config import TaggingConfig, TrainConfig
from models.data.bags import BAGS
from models.data.clips import SPLITS, ClipData, balanced, feature_column, open_clips
from models.data.parquet import MEMORY_LIMIT, open_part, read_table
from models.runtime import distributed as parallel
from schemas import StoreManifest, UsageError, Vocabulary, read_store_manifest, tensor_shape

Features = dict[str, NDArray[np.float32]]
Present = dict[str, NDArray[np.bool_]]

logger = logging.getLogger(__name__)


class Reader:
    """Clips by number; holds the shards that were used last, `most` clips at most."""

    def __init__(
        self, parts: Sequence[Path], part_of: NDArray[np.int64], keys: Sequence[str],
        needs: Sequence[str], seconds: int, most: int,
    ) -> None:  # fmt: skip
        self.parts, self.part_of, self.keys = parts, part_of, keys
        self.needs, self.seconds, self.most = needs, seconds, most
        self.held: OrderedDict[int, tuple[dict[str, int], Features, Present]] = OrderedDict()

    def batch(self, rows: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Features and presence of clips: [B, T, *shape] and [B, T] each."""
        numbers = rows.tolist()
        features: Features = {}
        present = {name: np.zeros((len(rows), self.seconds), np.bool_) for name in self.needs}
        for place, row in enumerate(numbers):
            index, values, there = self._part(int(self.part_of[row]))
            line = index[self.keys[row]]
            for name in self.needs:
                if name not in features:
                    shape = (len(rows), *values[name].shape[1:])
                    features[name] = np.empty(shape, np.float32)
                features[name][place], present[name][place] = values[name][line], there[name][line]
        return (
            {name: torch.from_numpy(one) for name, one in features.items()},
            {name: torch.from_numpy(one) for name, one in present.items()},
        )

    def _part(self, part: int) -> tuple[dict[str, int], Features, Present]:
        if part in self.held:
            self.held.move_to_end(part)
            return self.held[part]
        self.held[part] = read_part(self.parts[part], self.needs, self.seconds)
        while len(self.held) > 1 and sum(len(one[0]) for one in self.held.values()) > self.most:
            self.held.popitem(last=False)
        return self.held[part]


def read_part(
    path: Path, needs: Sequence[str], seconds: int
) -> tuple[dict[str, int], Features, Present]:
    """One file of `snippets`: line of each clip, features [n, T, *shape], presence [n, T].

    `UsageError` when a feature is missing or holds a value that is not finite.
    """
    part = open_part(path)
    lacking = [name for name in needs if name not in part.schema_arrow.names]
    if lacking:
        raise UsageError(f"{path} has no feature {lacking[0]!r}; run the features job with it")
    rows = part.read(columns=["clip_key", "snippet_index"], use_threads=False)
    coded = pc.dictionary_encode(rows["clip_key"].combine_chunks())
    keys = coded.dictionary.to_pylist()
    line, second = coded.indices.to_numpy(), rows["snippet_index"].to_numpy()
    features: Features = {}
    present = {name: np.zeros((len(keys), seconds), np.bool_) for name in needs}
    first = 0
    for number in range(part.num_row_groups):
        group = part.read_row_group(number, columns=list(needs), use_threads=False)
        last = first + group.num_rows
        inside = second[first:last] < seconds
        place = line[first:last][inside], second[first:last][inside]
        for name in needs:
            column = group[name].combine_chunks()
            values, there = feature_column(name, column, part.schema_arrow.field(name))
            if not np.isfinite(values).all():
                raise UsageError(
                    f"{path} has a value of {name} that is not finite; run `beam validate` and "
                    "make its features again"
                )
            if name not in features:
                shape = (len(keys), seconds, *values.shape[1:])
                features[name] = np.zeros(shape, np.float32)
            features[name][place], present[name][place] = values[inside], there[inside]
        first = last
    return {key: place for place, key in enumerate(keys)}, features, present


Read = tuple[dict[str, Tensor], dict[str, Tensor]]


class Chunks(Dataset[Read | UsageError]):
    """Chunks of clips by number, as loader processes read them; each has a reader of its own.

    What is wrong with a shard comes as a value, because an exception would bring the trace of the
    loader process into its sentence.
    """

    def __init__(self, reader: Reader, chunks: Sequence[Tensor]) -> None:
        self.reader, self.chunks = reader, chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> Read | UsageError:
        try:
            return self.reader.batch(self.chunks[index])
        except UsageError as error:
            return error


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamedClips(ClipData):
    """As `ClipData`, with the features on disk: `features` and `present` are empty."""

    needs: tuple[str, ...]
    """Features that are read."""
    parts: tuple[Path, ...]
    """Files of the table `snippets`."""
    part_of: NDArray[np.int64]
    """[N] file of each clip."""
    buffer_clips: int
    """Clips among which an epoch is shuffled at any time, in all loader processes together."""
    workers: int
    """Loader processes; 0 reads in the training process."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where batches go."""
    own: Reader
    """Reader of this process."""

    def reader(self) -> Reader:
        """Make a reader for one of the loader processes: two buffers, old and new, fit in it."""
        most = 2 * self.buffer_clips // max(1, self.workers)
        return Reader(self.parts, self.part_of, self.keys, self.needs, self.seconds, most)

    def to(self, device: torch.device) -> "StreamedClips":
        """The same clips, batches going to a device."""
        return replace(self, device=device)

    def shape(self, feature: str) -> tuple[int, ...]:
        """Shape of a feature in one second, as the first file has it."""
        return tuple(tensor_shape(open_part(self.parts[0]).schema_arrow.field(feature)) or ())

    def sample(self, split: str, clips: int) -> Tensor:
        """All clips of as many random files as have `clips` clips of the split."""
        rows = self.rows(split)
        order = _shuffled_parts(self.part_of[rows.numpy()], np.random.default_rng(0))
        found = [rows[torch.from_numpy(one)] for one in order]
        sizes = np.cumsum([len(one) for one in found])
        return torch.cat(found[: int(np.searchsorted(sizes, clips)) + 1]).sort().values

    def batch(self, rows: Tensor, progress: float = 0.0) -> Batch:
        """Some clips as a batch, read in this process."""
        return self._batch(self.own.batch(rows), rows, progress)

    def _batch(
        self, read: tuple[dict[str, Tensor], dict[str, Tensor]], rows: Tensor, progress: float = 0.0
    ) -> Batch:
        features, present = (
            {name: values.to(self.device, non_blocking=True) for name, values in one.items()}
            for one in read
        )
        labels = self.labels[rows].float().to(self.device)
        return Batch(features=features, present=present, labels=labels, progress=progress)

    def order(self, config: TrainConfig, epoch: int) -> Tensor:
        """Training clips in the order of one epoch: every process and loader has its own shards.

        Of several processes all get as many clips; the few that are over are left out.
        """
        rows = self.rows("train")
        if getattr(config, "balanced", False):
            rows = balanced(rows, self.labels[rows], config.seed, epoch)
        random = np.random.default_rng((config.seed, epoch))
        lanes = max(1, self.workers)
        shares = _dealt(rows.numpy(), self.part_of, parallel.world() * lanes, random)
        size = max(1, self.buffer_clips // lanes)
        clips = np.bincount(self.part_of)
        mixed = [
            _mixed(share, [int(clips[self.part_of[group[0]]]) for group in share], size, random)
            for share in shares
        ]
        own = [
            _interleaved(mixed[first : first + lanes], config.batch_size)
            for first in range(0, len(mixed), lanes)
        ]
        least = min(len(one) for one in own)
        return torch.from_numpy(np.stack([one[:least] for one in own], axis=1).reshape(-1))

    def load(self, chunks: Sequence[Tensor]) -> Iterator[Batch]:
        """Batches of the clips of each chunk; loader processes read ahead."""
        if not self.workers:
            yield from (self.batch(rows) for rows in chunks)
            return
        loader = DataLoader(
            Chunks(self.reader(), chunks), batch_size=None, shuffle=False,
            num_workers=self.workers, prefetch_factor=4,
        )  # fmt: skip
        for read, rows in zip(loader, chunks, strict=True):
            if isinstance(read, UsageError):
                raise read
            yield self._batch(read, rows)


def _shuffled_parts(
    part: NDArray[np.int64], random: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Places with the same part, a group for each part, groups in random order."""
    by_part = np.argsort(part, kind="stable")
    groups = np.split(by_part, np.flatnonzero(np.diff(part[by_part])) + 1)
    return [groups[index] for index in random.permutation(len(groups))]


def _dealt(
    rows: NDArray[np.int64], part_of: NDArray[np.int64], shares: int, random: np.random.Generator
) -> list[list[NDArray[np.int64]]]:
    """Rows of whole parts, dealt to the share that has the fewest so far."""
    dealt: list[list[NDArray[np.int64]]] = [[] for _ in range(shares)]
    sizes = np.zeros(shares, np.int64)
    for group in _shuffled_parts(part_of[rows], random):
        share = int(sizes.argmin())
        dealt[share].append(rows[group])
        sizes[share] += len(group)
    return dealt


def _mixed(
    groups: Sequence[NDArray[np.int64]], clips: Sequence[int], size: int,
    random: np.random.Generator,
) -> NDArray[np.int64]:  # fmt: skip
    """Rows of parts put end to end, shuffled within buffers of parts that hold `size` clips.

    `clips` are the clips of each part, also those of other splits: a reader holds whole parts, and
    a buffer must fit in it.
    """
    done: list[NDArray[np.int64]] = []
    buffer: list[NDArray[np.int64]] = []
    held = 0
    for place, group in enumerate(groups):
        buffer.append(group)
        held += clips[place]
        if held >= size or place == len(groups) - 1:
            done.append(random.permutation(np.concatenate(buffer)))
            buffer, held = [], 0
    return np.concatenate(done) if done else np.empty(0, np.int64)


def _interleaved(lanes: Sequence[NDArray[np.int64]], size: int) -> NDArray[np.int64]:
    """Batches of `size` from each lane in turn, then what does not fill a batch."""
    full = min(len(lane) // size for lane in lanes)
    turns = np.stack([lane[: full * size].reshape(full, size) for lane in lanes], axis=1)
    return np.concatenate([turns.reshape(-1), *(lane[full * size :] for lane in lanes)])


def open_tagging(
    root: Path, needs: Sequence[str], annotations: Path | None, config: TrainConfig
) -> ClipData:
    """Open a store for a model that tags clips: streamed when asked for, or when it is large.

    Large is what does not fit in the memory that `open_clips` takes. Bags of instances are never
    streamed.
    """
    asked = config.stream if isinstance(config, TaggingConfig) else "no"
    if asked == "no" or not needs or any(name in BAGS for name in needs):
        return open_clips(root, needs, annotations)
    manifest = read_store_manifest(root)
    if asked == "auto" and feature_bytes(manifest, needs) <= MEMORY_LIMIT:
        return open_clips(root, needs, annotations)
    assert isinstance(config, TaggingConfig)
    return open_stream(root, needs, buffer_clips=config.buffer_clips, workers=config.workers)


def feature_bytes(manifest: StoreManifest, needs: Sequence[str]) -> int:
    """Bytes of the features of all seconds of a store."""
    rows = width = 0
    for place, path in enumerate(manifest.paths("snippets")):
        part = open_part(path)
        rows += part.metadata.num_rows
        if not place:
            fields = [
                part.schema_arrow.field(name) for name in needs if name in part.schema_arrow.names
            ]
            width = sum(int(np.prod(tensor_shape(one) or ())) for one in fields)
    return 4 * rows * width


def open_stream(
    root: Path, needs: Sequence[str], *, buffer_clips: int = 1024, workers: int = 0
) -> StreamedClips:
    """Open the store at `root` without reading its features.

    `UsageError` when `root` is no store, has no clip, names files that do not open, or has a clip
    whose seconds lie in no file or in two.
    """
    manifest = read_store_manifest(root)
    clips = read_table(manifest, "clips", ["clip_key", "split", "labels", "n_snippets"])
    keys = tuple(clips["clip_key"].to_pylist())
    if not keys:
        raise UsageError(f"{root} holds no clip; its failures say why, `beam validate` lists them")
    vocabulary = Vocabulary(manifest.vocabulary)
    seconds = int(manifest.data.get("n_seconds") or pc.max(clips["n_snippets"]).as_py())
    paths = tuple(manifest.paths("snippets"))
    part_of = _places(root, paths, keys)
    most = 2 * buffer_clips
    logger.info("%d clips in %d files are streamed, not held in memory", len(keys), len(paths))
    return StreamedClips(
        manifest=manifest, keys=keys, vocabulary=vocabulary, seconds=seconds,
        splits=np.array([SPLITS.get(name, name or "") for name in clips["split"].to_pylist()]),
        features={}, present={}, truth={}, dense_splits=frozenset(),
        labels=_labels(root, clips["labels"].combine_chunks(), vocabulary), needs=tuple(needs),
        parts=paths, part_of=part_of, buffer_clips=buffer_clips, workers=workers,
        own=Reader(paths, part_of, keys, tuple(needs), seconds, most),
    )  # fmt: skip


def _places(root: Path, paths: Sequence[Path], keys: Sequence[str]) -> NDArray[np.int64]:
    """File of each clip."""
    row_of = {key: row for row, key in enumerate(keys)}
    part_of = np.full(len(keys), -1, np.int64)
    for place, path in enumerate(paths):
        column = open_part(path).read(columns=["clip_key"], use_threads=False)["clip_key"]
        for key in pc.unique(column).to_pylist():
            row = row_of.get(key, -1)
            if row < 0 or part_of[row] >= 0:
                why = "is not in the table of clips" if row < 0 else "is in another file too"
                raise UsageError(f"clip {key} of {path} {why}; run `beam validate`")
            part_of[row] = place
    if (part_of < 0).any():
        key = keys[int((part_of < 0).argmax())]
        raise UsageError(f"clip {key} of {root} has no seconds; run `beam validate`")
    return part_of


def _labels(root: Path, labels: pa.ListArray, vocabulary: Vocabulary) -> Tensor:
    """Labels as bool [N, C]."""
    try:
        return torch.from_numpy(vocabulary.multi_hot(labels))
    except LookupError as error:
        raise UsageError(
            f"{root} has a label outside its vocabulary ({error}); make the features again with "
            "the annotation files of its data set"
        ) from None
