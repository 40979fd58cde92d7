"""Boxes of a region proposal network that was trained to tell objects of any kind from background.

Paper: Ren, He, Girshick, Sun, "Faster R-CNN", NeurIPS 2015, https://arxiv.org/abs/1506.01497; over
    feature pyramids as Lin et al., CVPR 2017.
torchvision's `fasterrcnn_resnet50_fpn` without the heads that name classes.
Differences: frames are seen at a shorter side of 480 pixels, where training had 800.

Letters: P boxes.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.models.resnet import Bottleneck
from torchvision.ops.misc import FrozenBatchNorm2d

from extractors.base import Array, LoadOptions
from extractors.nets.precision import open_device
from extractors.nets.seeded import parse_weights
from extractors.nets.threads import one_thread
from extractors.nets.weights import WEIGHTS, find_weights

NAME = "fasterrcnn"
"""Its entry among the published weights."""
SHORT_SIDE, LONG_SIDE = 480, 800
"""A frame is scaled to this shorter side, in pixels, or to this longer one where that is less."""
BRANCH = 0.1
"""Scale of the residual branches of random weights, so that their sums stay small."""


@dataclass(frozen=True, eq=False)
class RegionNet:
    """The net on its device, with what its weights came from."""

    net: FasterRCNN
    device: torch.device
    provenance: Mapping[str, str]

    def find(self, frame: NDArray[np.uint8], most: int) -> tuple[Array, Array]:
        """Return boxes [P, 4] of a frame [H, W, 3] as shares and their scores [P], best first.

        P is `most` at most; a score is the probability of an object, 0 to 1.
        """
        image = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float() / 255.0
        rpn = self.net.rpn
        with torch.inference_mode(), one_thread():
            images, _ = self.net.transform([image.to(self.device)])
            maps = [*self.net.backbone(images.tensors).values()]
            objectness, deltas = rpn.head(maps)
            counts = [level.numel() for level in objectness]
            flat, moves = concat_box_prediction_layers(objectness, deltas)
            anchors = rpn.anchor_generator(images, maps)
            boxes = rpn.box_coder.decode(moves, anchors).view(1, -1, 4)
            (found,), (score,) = rpn.filter_proposals(boxes, flat, images.image_sizes, counts)
        height, width = images.image_sizes[0]
        size = np.array([width, height, width, height], np.float32)
        shares = np.clip(found[:most].cpu().numpy() / size, 0.0, 1.0)
        return shares.astype(np.float32), score[:most].cpu().numpy().astype(np.float32)


_nets: dict[tuple[str, ...], RegionNet] = {}
_lock = threading.Lock()


def region_net(options: LoadOptions) -> RegionNet:
    """Return this process's one copy of the net, loading it on first use.

    Raises `UsageError` for unknown weights, a device that is not there or missing files.
    """
    device, seed = open_device(options.device), parse_weights(options.weights)
    folder = options.weights_dir if seed is None else None
    key = (str(seed), str(device), str(folder))
    with _lock:
        if key not in _nets:
            net, provenance = _pretrained(folder) if seed is None else _seeded(seed)
            net = net.eval().requires_grad_(False).to(device)
            _nets[key] = RegionNet(net, device, provenance)
        return _nets[key]


def build() -> FasterRCNN:
    """Return the net with torchvision's own start; its layers have the names of the weights."""
    return fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=SHORT_SIDE, max_size=LONG_SIDE
    )


def _pretrained(folder: Path | None) -> tuple[FasterRCNN, dict[str, str]]:
    path, hashes = find_weights(WEIGHTS[NAME], folder)
    net = build()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net, hashes


def _seeded(seed: int) -> tuple[FasterRCNN, dict[str, str]]:
    """Return the net with random weights, always the same: its boxes fit nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build()
    for block in net.modules():
        if isinstance(block, Bottleneck) and isinstance(block.bn3, FrozenBatchNorm2d):
            block.bn3.weight.fill_(BRANCH)
    return net, {NAME: f"seeded:{seed}"}
