"""A run's net with tensors in and out, as a file holds it, and what its metadata say.

It takes the features that the run reads, each with a mask of what is there, for any number of clips
of one length, and gives its probabilities. A fusion comes with the runs whose scores it fuses.

Letters: B clips, T seconds, C classes, P instances, V views, F frames, S side.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.applications.new_media import Run
from models.contract.batch import Batch, Outputs
from models.contract.config import PixelConfig
from models.data.pixels import FRAMES
from models.tasks.tagging import Tagging
from schemas import FEATURES
from schemas.features import SNIPPETS, extractor_of
from schemas.machine.version import version_line

PARTS = ("clip_audio", "clip_visual", "audio", "visual")
"""Outputs of a net that stand behind `clip` in a file, where they are others than it."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """One tensor that a file takes."""

    name: str
    shape: tuple[int, ...]
    """Without the clips."""
    kind: torch.dtype
    says: str
    """What it is, in words."""

    def example(self, clips: int, random: torch.Generator) -> Tensor:
        """Return made-up values for some clips; of a mask about one value in ten is false."""
        size = (clips, *self.shape)
        if self.kind == torch.bool:
            return torch.rand(size, generator=random) < 0.9
        if self.kind == torch.uint8:
            return torch.randint(0, 256, size, generator=random).to(torch.uint8)
        return torch.randn(size, generator=random)


def inputs_of(run: Run, seconds: int) -> list[Input]:
    """Return what a run's file takes for clips of so many seconds: features, each with a mask."""
    found = []
    for need in run.needs:
        shape, grid, says = _feature(run, need, seconds)
        kind = torch.uint8 if need == FRAMES else torch.float32
        found.append(Input(name=need, shape=(*grid, *shape), kind=kind, says=says))
        there = f"true where {need} is there; where it is false, {need} is zero"
        found.append(Input(name=f"{need}_present", shape=grid, kind=torch.bool, says=there))
    return found


def _feature(run: Run, need: str, seconds: int) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """Return the shape of one row of a feature, its rows in a clip, and words for it."""
    if need == FRAMES:
        config = next(
            one.config for one in (run, *run.fused.values()) if isinstance(one.config, PixelConfig)
        )
        square = (config.clip_frames, config.side, config.side, 3)
        return square, (config.views,), "RGB of 0 to 255 [clips, views, frames, side, side, 3]"
    feature = run.recipe.feature(extractor_of(need))
    shape = FEATURES[feature.extractor].shape  # frames one by one are averaged before a net
    if feature.table == SNIPPETS:
        return shape, (seconds,), f"{feature.about} [clips, seconds, ...]"
    if feature.hop_s is not None:
        rows = int((seconds - feature.window_s) / feature.hop_s) + 1
    else:
        rows = round(feature.rows_per_clip + feature.rows_per_second * seconds)
    return shape, (max(1, rows),), f"{feature.about} [clips, instances, ...]"


class ExportedNet(nn.Module):
    """A run's net, and those of the runs that it fuses, with tensors in and out."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.net = with_constants(run.model)
        self.parts = nn.ModuleDict(
            {name: with_constants(part.model) for name, part in run.fused.items()}
        )
        self.part_needs = {name: part.needs for name, part in run.fused.items()}
        self.needs, self.classes = run.needs, len(run.classes)
        task = run.card.task
        self.timeline = task.timeline.name if isinstance(task, Tagging) and task.timeline else None

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Map the tensors of `inputs_of` to those that `named` names."""
        return tuple(self.named(*inputs).values())

    def named(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Return every output by name."""
        labels = torch.zeros(inputs[0].shape[0], self.classes)
        features = dict(zip(self.needs, inputs[::2], strict=True))
        present = dict(zip(self.needs, inputs[1::2], strict=True))
        batch = Batch(features=features, present=present, labels=labels)
        if len(self.parts):
            batch = self.scored(batch)
        outputs: Outputs = self.net(batch)
        found = {"clip": outputs.clip}
        for name in PARTS:
            value = getattr(outputs, name)
            if value is not None and value is not outputs.clip:
                found[name] = value
        if self.timeline is not None:
            found["timeline"] = outputs.extra[self.timeline]
        return found

    def scored(self, batch: Batch) -> Batch:
        """Return the scores of the fused runs as the features of the fusion."""
        scores, there = {}, {}
        for name, net in self.parts.items():
            own = [batch.present[need].flatten(1).any(dim=1) for need in self.part_needs[name]]
            readable = torch.stack(own).any(dim=0)
            scores[name] = (net(batch).clip * readable[:, None])[:, None]
            there[name] = readable[:, None]
        return Batch(features=scores, present=there, labels=batch.labels)


def with_constants(net: nn.Module) -> nn.Module:
    """Return a copy of a trained net whose counts are numbers: no file counts on.

    An exporter cannot follow a loop whose length stands in a tensor.
    """
    copied = copy.deepcopy(net)
    for module in copied.modules():
        for name, value in list(module.named_buffers(recurse=False)):
            if value.dtype == torch.long and not value.dim():
                delattr(module, name)
                setattr(module, name, int(value))
    return copied


def metadata_of(run: Run, inputs: list[Input], outputs: tuple[str, ...], seconds: int) -> str:
    """Return what a file does not say by its form, as JSON."""
    tuned = run.thresholds
    facts = {
        "model": run.card.name,
        "task": run.card.task.name,
        "labels": list(run.classes),
        "thresholds": None if tuned is None else tuned.to_json(),
        "recipe": run.recipe.to_json(),
        "seconds": seconds,
        "inputs": {one.name: one.says for one in inputs},
        "outputs": {name: SAYS[name] for name in outputs},
        "timeline": timeline_of(run),
        "trained_on": run.origin,
        "made_by": version_line(),
    }
    return json.dumps(facts)


SAYS = {
    "clip": "probability that the class is in the clip [clips, classes]",
    "clip_audio": "probability that it is heard in the clip [clips, classes]",
    "clip_visual": "probability that it is seen in the clip [clips, classes]",
    "audio": "probability that it is heard in the second [clips, seconds, classes]",
    "visual": "probability that it is seen in the second [clips, seconds, classes]",
    "timeline": "probability of each segment of the clip [clips, segments, classes]",
}


def timeline_of(run: Run) -> Mapping[str, float] | None:
    """Return how the segments of the output `timeline` lie in time; None where there are none."""
    task = run.card.task
    if not isinstance(task, Tagging) or task.timeline is None:
        return None
    return {"hop_s": task.timeline.hop_s, "window_s": task.timeline.window_s}
