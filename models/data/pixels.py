"""Clips whose pictures are read as pixels: stored frames, decoded, cut and mirrored by processes.

A net sees views of a clip: some consecutive frames, a square of each. In training there is one
view from a random time, with a random square (scale jitter) that may be mirrored; at evaluation
there are views spread evenly over the clip, each with the square in the middle. What is drawn for a
clip follows from seed, epoch and clip alone, so that neither the number of processes nor an
interruption changes it.

Letters: N clips, B clips of a batch, V views, F frames of a view, S side of its square.
"""

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.contract.batch import Batch
from models.contract.config import PixelConfig, TrainConfig
from models.data.clips import in_memory
from models.data.loader_processes import from_processes
from models.data.parquet import ParquetPart, clip_indices, open_part
from models.data.source import ClipSource, ClipTable
from schemas import UsageError
from schemas.features import extractor_of

FRAMES = "frames"
JITTER = (0.7, 0.875)
"""Side of a training view's square, as a share of the frame's shorter side: for 224 pixels the
shorter side is scaled to between 256 and 320."""
CENTRE = 0.875
"""The same at evaluation."""

Groups = tuple[tuple[int, int, int, int], ...]
"""Where the frames of a clip are: file, row group, first row, one after the last."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, kw_only=True)
class FrameReader:
    """Reads and decodes views of clips by number; several processes may have one each."""

    paths: tuple[Path, ...]
    groups: tuple[Groups, ...]
    """Of each clip; empty without frames."""
    keys: tuple[str, ...]
    config: PixelConfig

    def read(self, rows: Sequence[int], epoch: int | None) -> tuple[Tensor, Tensor]:
        """Return views uint8 [B, V, F, S, S, 3] and presence bool [B, V].

        With an epoch it is one training view of each clip, without one those of evaluation.
        `UsageError` for an image that cannot be read.
        """
        config = self.config
        views = config.views if epoch is None else 1
        size = (len(rows), views, config.clip_frames, config.side, config.side, 3)
        pixels = np.zeros(size, np.uint8)
        present = np.zeros(size[:2], np.bool_)
        for place, row in enumerate(rows):
            if self.groups[row]:
                pixels[place] = self._views(row, epoch)
                present[place] = True
        return torch.from_numpy(pixels), torch.from_numpy(present)

    def _views(self, row: int, epoch: int | None) -> NDArray[np.uint8]:
        images = self._images(row)
        config = self.config
        if epoch is None:
            starts = view_starts(len(images), config.clip_frames, config.views)
            cuts = [Cut(CENTRE)] * len(starts)
        else:
            random = np.random.default_rng((config.seed, epoch, row))
            last = max(0, len(images) - config.clip_frames)
            starts, cuts = [int(random.integers(last + 1))], [Cut.drawn(random)]
        return np.stack(
            [
                np.stack(
                    [
                        self._square(row, images, min(start + step, len(images) - 1), cut)
                        for step in range(config.clip_frames)
                    ]
                )
                for start, cut in zip(starts, cuts, strict=True)
            ]
        )

    def _square(self, row: int, images: pa.Array, index: int, cut: "Cut") -> NDArray[np.uint8]:
        try:
            with Image.open(io.BytesIO(images[index].as_py() or b"")) as image:
                return cut.of(image.convert("RGB"), self.config.side)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise UsageError(
                f"{self.paths[self.groups[row][0][0]]}: stored frame {index} of clip "
                f"{self.keys[row]} cannot be read ({error}); run `beam validate` and make its "
                "features again"
            ) from None

    def _images(self, row: int) -> pa.ChunkedArray:
        """Return the encoded frames of a clip in order."""
        parts = []
        for file, group, first, last in self.groups[row]:
            table = _opened(self.paths[file]).read_row_group(
                group, columns=["clip_key", "frame_index", "image"], use_threads=False
            )
            own = table.slice(first, last - first)
            if set(own["clip_key"].to_pylist()) != {self.keys[row]}:
                raise UsageError(f"{self.paths[file]} was changed while it was read; start again")
            parts.append(own)
        return pa.concat_tables(parts).sort_by("frame_index")["image"]


@dataclass(frozen=True)
class Cut:
    """Which square of a frame is seen: the same for all frames of a view."""

    share: float
    """Side over the frame's shorter side."""
    across: float = 0.5
    """Where it lies between left (0) and right (1)."""
    down: float = 0.5
    """Where it lies between top (0) and bottom (1)."""
    mirrored: bool = False

    @classmethod
    def drawn(cls, random: np.random.Generator) -> "Cut":
        """Draw size, place and mirroring."""
        share, across, down = random.uniform(*JITTER), random.random(), random.random()
        return cls(float(share), float(across), float(down), bool(random.integers(2)))

    def of(self, image: Image.Image, side: int) -> NDArray[np.uint8]:
        """Return the square of an image at a side of so many pixels, [S, S, 3]."""
        length = self.share * min(image.size)
        left, top = self.across * (image.width - length), self.down * (image.height - length)
        box = (left, top, left + length, top + length)
        square = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
        pixels = np.asarray(square)
        return pixels[:, ::-1] if self.mirrored else pixels


def view_starts(frames: int, length: int, views: int) -> list[int]:
    """Return the first frames of some views of `length` frames, spread evenly over a clip.

    >>> view_starts(80, 16, 3), view_starts(80, 16, 1), view_starts(4, 16, 2)
    ([0, 32, 64], [32], [0, 0])
    """
    last = max(0, frames - length)
    if views == 1:
        return [last // 2]
    return [round(last * view / (views - 1)) for view in range(views)]


@lru_cache(maxsize=32)
def _opened(path: Path) -> ParquetPart:
    return open_part(path)


class ViewChunks(Dataset[tuple[Tensor, Tensor] | UsageError]):
    """Chunks of clips by number, as loader processes read them.

    What is wrong with an image comes as a value, because an exception would bring the trace of the
    loader process into its sentence.
    """

    def __init__(self, reader: FrameReader, chunks: Sequence[Tensor], epoch: int | None) -> None:
        self.reader, self.chunks, self.epoch = reader, chunks, epoch

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor] | UsageError:
        try:
            return self.reader.read(self.chunks[index].tolist(), self.epoch)
        except UsageError as error:
            return error


@dataclass(frozen=True, eq=False, kw_only=True)
class PixelClips(ClipSource):
    """All clips of a store; frames are decoded when a batch is asked for."""

    reader: FrameReader
    others: ClipSource | None = None
    """The same clips with the other features that the net reads."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where batches go."""

    def shape(self, feature: str) -> tuple[int, ...]:
        """Return the shape of a feature in one second, or of a view."""
        config = self.reader.config
        if feature == FRAMES or self.others is None:
            return (config.clip_frames, config.side, config.side, 3)
        return self.others.shape(feature)

    def order(self, config: TrainConfig, epoch: int) -> Tensor:
        """Return the training clips in the order of one epoch; that of the others if there are."""
        if self.others is not None:
            return replace(self.others, splits=self.splits).order(config, epoch)
        return super().order(config, epoch)

    def batch(self, rows: Tensor, progress: float = 0.0) -> Batch:
        """Return the views of evaluation of some clips as a batch."""
        other = None if self.others is None else self.others.batch(rows, progress)
        return self._batch(self.reader.read(rows.tolist(), None), rows, other, progress)

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        """Yield the views of evaluation of clips in the order given, a few at a time.

        There are no more views in a batch than clips in one of training, and `size` clips at most.
        """
        config = self.reader.config
        few = max(1, min(size, config.batch_size // config.views))
        chunks = [rows[first : first + few] for first in range(0, len(rows), few)]
        others = None if self.others is None else self.others.batches(rows, few)
        return self._read(chunks, others, None)

    def load(self, chunks: Sequence[Tensor], epoch: int = 0) -> Iterator[Batch]:
        """Yield a training view of the clips of each chunk as a batch."""
        others = None if self.others is None else self.others.load(chunks, epoch)
        return self._read(chunks, others, epoch)

    def to(self, device: torch.device) -> "PixelClips":
        """Return the same clips with their batches on a device."""
        others = None if self.others is None else self.others.to(device)
        quality = None if self.quality is None else self.quality.to(device)
        return replace(self, device=device, others=others, quality=quality)

    def seen_by(self, config: PixelConfig) -> "PixelClips":
        """Return the same clips in the views that other settings ask for."""
        return replace(self, reader=replace(self.reader, config=config))

    def cut(self, rows: NDArray[np.int64], seconds: int) -> "PixelClips":
        """Return some clips, the other features without the seconds behind their end."""
        keys = tuple(self.keys[row] for row in rows)
        groups = tuple(self.reader.groups[row] for row in rows)
        return replace(
            self,
            keys=keys,
            splits=self.splits[rows],
            seconds=seconds,
            labels=self.labels[torch.from_numpy(rows)],
            reader=replace(self.reader, groups=groups, keys=keys),
            others=None if self.others is None else in_memory(self.others).cut(rows, seconds),
        )

    def having(self, feature: str) -> NDArray[np.bool_]:
        """Return which clips have a feature at all, [N]."""
        if feature != FRAMES and self.others is not None:
            return in_memory(self.others).having(feature)
        return np.array([bool(groups) for groups in self.reader.groups])

    def _read(
        self, chunks: Sequence[Tensor], others: Iterator[Batch] | None, epoch: int | None
    ) -> Iterator[Batch]:
        workers = min(self.reader.config.workers, len(chunks))
        loader = DataLoader(
            ViewChunks(self.reader, chunks, epoch), batch_size=None, shuffle=False,
            num_workers=workers, prefetch_factor=2 if workers else None,
            pin_memory=self.device.type == "cuda",
        )  # fmt: skip
        for views, rows in zip(from_processes(loader), chunks, strict=True):
            if isinstance(views, UsageError):
                raise views
            yield self._batch(views, rows, None if others is None else next(others))

    def _batch(
        self, views: tuple[Tensor, Tensor], rows: Tensor, other: Batch | None, progress: float = 0.0
    ) -> Batch:
        pixels, there = (part.to(self.device, non_blocking=True) for part in views)
        features: Mapping[str, Tensor] = {} if other is None else other.features
        present: Mapping[str, Tensor] = {} if other is None else other.present
        return Batch(
            features={**features, FRAMES: pixels},
            present={**present, FRAMES: there},
            labels=self.labels[rows].float().to(self.device),
            quality=self.quality,
            progress=progress,
        )


def open_pixels(table: ClipTable, config: PixelConfig, others: ClipSource | None) -> PixelClips:
    """Return the clips of a store with their stored frames; `UsageError` when it has none."""
    manifest = table.manifest
    paths = tuple(manifest.paths(FRAMES))
    groups = find_groups(paths, table.keys)
    if not any(groups):
        raise UsageError(
            f"{manifest.root} has no feature {FRAMES!r} in any clip; run the features job again "
            f"with extractor {extractor_of(FRAMES)}"
        )
    stored = manifest.data["recipe"].get("frames_side", config.side)
    if round(CENTRE * stored) < config.side:
        logger.warning(
            "frames of %s are stored with a shorter side of %d pixels and are enlarged to squares "
            "of %d; --side %d would not", manifest.root, stored, config.side,
            max(32, int(CENTRE * stored)),
        )  # fmt: skip
    reader = FrameReader(paths=paths, groups=groups, keys=table.keys, config=config)
    facts = {name: getattr(table, name) for name in ClipTable.__dataclass_fields__}
    return PixelClips(**facts, reader=reader, others=others)


def find_groups(paths: Sequence[Path], keys: Sequence[str]) -> tuple[Groups, ...]:
    """Return where the frames of each clip are; `UsageError` for frames of a clip of no table."""
    order = pa.array(keys)
    found: list[list[tuple[int, int, int, int]]] = [[] for _ in keys]
    for file, path in enumerate(paths):
        part = open_part(path)
        for group in range(part.num_row_groups):
            column = part.read_row_group(group, columns=["clip_key"], use_threads=False)
            clip = clip_indices(path, column["clip_key"].combine_chunks(), order)
            edges = np.flatnonzero(np.diff(clip)) + 1
            for first, last in zip([0, *edges], [*edges, len(clip)], strict=True):
                if last > first:
                    found[int(clip[first])].append((file, group, int(first), int(last)))
    return tuple(map(tuple, found))
