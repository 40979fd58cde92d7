"""Made-up batches of clips and of bags, and numbers by formula for the golden files."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from models.contract.batch import Batch
from schemas.features import BOX_CONTEXTS, BOXES
from tests.stores.bags import INSTANCES
from tests.stores.parsing import SECONDS, WIDTHS


def make_batch(clips: int = 8, classes: int = 25, seconds: int = SECONDS, seed: int = 0) -> Batch:
    """Made-up clips with at least one label each."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(clips, classes, generator=generator) < 0.2).float()
    labels[torch.arange(clips), torch.arange(clips) % classes] = 1.0
    widths = {**WIDTHS, "clip": 768, "clap": 512}
    return Batch(
        features={
            name: torch.rand(clips, seconds, width, generator=generator)
            for name, width in widths.items()
        },
        present={name: torch.ones(clips, seconds, dtype=torch.bool) for name in WIDTHS},
        labels=labels,
        pseudo_labels={
            modality: torch.rand(clips, seconds, classes, generator=generator).round()
            * labels[:, None]
            for modality in ("audio", "visual")
        },
        progress=0.5,
    )


def boxes_of(features: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Made-up surroundings and places of boxes [B, P, 2048], two in a frame."""
    clips, boxes = features.shape[:2]
    low, size = torch.rand(2, clips, boxes, 2, generator=generator) / 2
    frame = torch.arange(boxes)[None, :, None].div(2, rounding_mode="floor").expand(clips, -1, 1)
    score = torch.rand(clips, boxes, 1, generator=generator)
    return {
        BOX_CONTEXTS: torch.rand(features.shape, generator=generator),
        BOXES: torch.cat([frame, low, low + size + 0.01, score], dim=2),
    }


def bag_batch(clips: int = 8, classes: int = 5, seed: int = 0) -> Batch:
    """Bags with every class in some clip; the last clip has no boxes, bags differ in size."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(clips, classes, generator=generator) < 0.3).float()
    labels[torch.arange(clips), torch.arange(clips) % classes] = 1.0
    features = {
        name: torch.rand(clips, *shape, generator=generator) for name, shape in INSTANCES.items()
    }
    present = {
        name: torch.arange(shape[0]) < shape[0] - torch.arange(clips)[:, None] % 3
        for name, shape in INSTANCES.items()
    }
    present["proposals"][-1] = False
    features |= boxes_of(features["proposals"], generator)
    present |= dict.fromkeys((BOX_CONTEXTS, BOXES), present["proposals"])
    features["logmel"] = torch.randn(clips, SECONDS, 100, 64, generator=generator)
    present["logmel"] = torch.ones(clips, SECONDS, dtype=torch.bool)
    return Batch(features=features, present=present, labels=labels, progress=0.5)


def by_formula(index: int, shape: torch.Size, scale: float, offset: float = 0.0) -> torch.Tensor:
    """Low-discrepancy numbers offset - scale .. offset + scale that golden files are made from."""
    place = np.arange(int(np.prod(shape)), dtype=np.float64)
    hashed = (place * 0.6180339887498949 + (index + 1) * 0.7548776662466927) % 1.0
    values = (offset + scale * (2 * hashed - 1)).astype(np.float32)
    return torch.from_numpy(values).reshape(shape)


def formula_state(
    shapes: Mapping[str, torch.Size], names: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Every weight as its number in the golden file; `names` fixes the index of each."""
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            continue
        scale, offset = 0.2, 0.0
        if len(shape) == 2:
            scale = 3 / np.sqrt(shape[1]) * 0.577
        elif (name.endswith(".weight") and "norm" in name) or name.endswith("running_var"):
            scale, offset = 0.3, 1.0
        state[name] = by_formula(names.index(name), shape, scale, offset)
    return state


def fill_by_formula(model: torch.nn.Module, names: list[str]) -> None:
    """Set every weight to its number in the golden file."""
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    model.load_state_dict(formula_state(shapes, names), strict=False)


def formula_batch(labels: torch.Tensor, dtype: torch.dtype = torch.float64) -> Batch:
    """The golden files' inputs: three clips, frames one by one."""
    features = {
        "vggish": by_formula(100, torch.Size((3, 10, 128)), 1.0),
        "resnet152": by_formula(101, torch.Size((3, 80, 2048)), 0.5, 0.5).reshape(3, 10, 8, 2048),
        "r2plus1d": by_formula(102, torch.Size((3, 10, 512)), 0.5, 0.5),
    }
    return Batch(
        features={name: values.to(dtype) for name, values in features.items()},
        present={name: torch.ones(3, 10, dtype=torch.bool) for name in features},
        labels=labels.to(dtype),
    )
