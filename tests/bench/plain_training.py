"""What published training code does: a file a clip and feature, all frames projected, Python loops.

The yardstick of the training benchmark. The net is ours, so that only the way of working differs.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from models.contract.batch import Batch
from models.nets.parsing import han

Item = tuple[Tensor, Tensor, Tensor, Tensor]
Mask = NDArray[np.bool_]
Counts = list[tuple[int, int, int]]
SIDES = ("audio", "visual")


class EveryFrame(han.Model):
    """HAN that projects the 80 frames of a clip one by one and averages what comes out."""

    def fuse(self, frames: Tensor, motion: Tensor) -> Tensor:
        """Frames [B, 80, 2048] and motion [B, T, 512] to [B, T, D]."""
        projected = self.fc_v(frames).unflatten(1, (-1, 8)).mean(dim=2)
        return self.fc_fusion(torch.cat([projected, self.fc_st(motion)], dim=-1))


class Clips(Dataset[Item]):
    """Clips as three .npy files each and a line of a table."""

    def __init__(self, folder: Path, table: pd.DataFrame, classes: list[str]) -> None:
        self.folder, self.table, self.classes = folder, table, classes

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Item:
        row = self.table.loc[index]
        one, two, three = (
            torch.from_numpy(np.load(self.folder / name / f"{row['filename']}.npy"))
            for name in ("vggish", "res152", "r2plus1d_18")
        )
        label = torch.zeros(len(self.classes))
        for name in row["event_labels"].split(","):
            label[self.classes.index(name)] = 1.0
        return one, two, three, label


def batch_of(item: Item | list[Tensor]) -> Batch:
    """Tensors of a loader as the net takes them."""
    sound, frames, motion, labels = item
    features = {"vggish": sound, "resnet152": frames, "r2plus1d": motion}
    return Batch(features=features, present={}, labels=labels)


def train_epoch(model: nn.Module, loss: nn.Module, clips: Clips, config: han.Config) -> None:
    """One epoch of Adam in batches of 16, one process that reads ahead."""
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    model.train()
    for item in DataLoader(clips, batch_size=config.batch_size, shuffle=True, num_workers=1):
        batch = batch_of(item)
        optimizer.zero_grad()
        loss(model(batch), batch)["total"].backward()
        optimizer.step()


@torch.no_grad()
def predict(model: nn.Module, clips: Clips) -> list[list[Mask]]:
    """Decisions [T, C] for sound and picture of each clip, a forward pass a clip."""
    model.eval()
    found = []
    for item in DataLoader(clips, batch_size=1, num_workers=1):
        outputs = model(batch_of(item))
        gate = (outputs.clip[0] >= 0.5).numpy()
        found.append([(part[0].numpy() >= 0.5) & gate for part in (outputs.audio, outputs.visual)])
    return found


def score(predicted: list[list[Mask]], clips: Clips, events: pd.DataFrame) -> dict[str, float]:
    """The ten scores clip by clip: the table of events looked through, loops over classes."""
    scores: dict[str, list[float]] = {}
    for index, found in enumerate(predicted):
        own = events.loc[events["filename"] == clips.table.loc[index]["filename"]]
        wanted = [grid(own.loc[own["modality"] == name], clips.classes) for name in SIDES]
        for level, count in (("segment", count_seconds), ("event", count_events)):
            for name, value in of_clip(count, found, wanted).items():
                scores.setdefault(f"{level}_{name}", []).append(value)
    return {name: 100 * float(np.mean(values)) for name, values in scores.items()}


def grid(events: pd.DataFrame, classes: list[str]) -> Mask:
    """Dense truth [10, C] of a clip."""
    truth = np.zeros((10, len(classes)), bool)
    for _, event in events.iterrows():
        truth[int(event["onset"]) : int(event["offset"]), classes.index(event["label"])] = True
    return truth


def of_clip(
    count: Callable[[Mask, Mask], Counts], found: list[Mask], wanted: list[Mask]
) -> dict[str, float]:
    """The five scores of a clip."""
    audio, visual = (count(one, other) for one, other in zip(found, wanted, strict=True))
    both = count(found[0] & found[1], wanted[0] & wanted[1])
    merged = [
        (one[0] + other[0], one[1] + other[1], one[2] + other[2])
        for one, other in zip(audio, visual, strict=True)
    ]
    three = [mean_f(part) for part in (audio, visual, both)]
    names = ("audio", "visual", "audio_visual", "type_av", "event_av")
    return dict(zip(names, [*three, sum(three) / 3, mean_f(merged)], strict=True))


def mean_f(counts: Counts) -> float:
    """Mean F over the classes that occur, 1 where none does."""
    values = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn in counts if tp + fp + fn]
    return sum(values) / len(values) if values else 1.0


def count_seconds(found: Mask, wanted: Mask) -> Counts:
    """True positives, false positives and false negatives of each class, second by second."""
    counts = []
    for column in range(found.shape[1]):
        one, other = found[:, column], wanted[:, column]
        counts.append((int(sum(one & other)), int(sum(one & ~other)), int(sum(~one & other))))
    return counts


def count_events(found: Mask, wanted: Mask) -> Counts:
    """The same event by event: a hit overlaps by at least half of the union."""
    counts = []
    for column in range(found.shape[1]):
        one, other = runs(found[:, column]), runs(wanted[:, column])
        hit = [any(meet(event, true) for true in other) for event in one]
        met = [any(meet(event, true) for event in one) for true in other]
        counts.append((sum(hit), len(hit) - sum(hit), len(met) - sum(met)))
    return counts


def runs(column: Mask) -> list[set[int]]:
    """Runs of positive seconds."""
    events: list[set[int]] = []
    before = False
    for second, positive in enumerate(column):
        if positive and not before:
            events.append(set())
        if positive:
            events[-1].add(second)
        before = bool(positive)
    return events


def meet(one: set[int], other: set[int]) -> bool:
    """Whether two events share at least half of what they cover together."""
    return len(one & other) >= 0.5 * len(one | other)
