"""Boxes of the region proposal network: seeded, and from a file of the published form."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from extractors.base import LoadOptions, NotLoadedError
from extractors.nets import weights
from extractors.nets.calibration_inputs import draw_frames
from extractors.proposals import RegionProposals
from extractors.regions import rpn
from extractors.regions.rpn import NAME, RegionNet, region_net
from schemas import RECIPES, UsageError

RECIPE = RECIPES["llp-eccv20"].with_(proposals_source="rpn", weights="seeded:0")


@pytest.fixture(scope="module")
def net() -> RegionNet:
    return region_net(LoadOptions(weights="seeded:3"))


def test_boxes_lie_in_the_frame_and_come_best_first(net: RegionNet) -> None:
    frame = draw_frames(1, 240, seed=3)[0]
    boxes, score = net.find(frame, 50)
    assert 10 < len(boxes) <= 50
    assert boxes.dtype == score.dtype == np.float32
    assert ((boxes[:, :2] < boxes[:, 2:]) & (boxes >= 0).all() & (boxes <= 1).all()).all()
    assert (np.diff(score) <= 0).all()
    assert ((score > 0) & (score < 1)).all()
    again = net.find(frame, 50)
    np.testing.assert_array_equal(again[0], boxes)
    np.testing.assert_array_equal(again[1], score)
    fewer, _ = net.find(frame, 7)
    np.testing.assert_array_equal(fewer, boxes[:7])
    assert net.provenance == {NAME: "seeded:3"}
    assert region_net(LoadOptions(weights="seeded:3")) is net


def test_boxes_are_those_of_the_whole_detector(net: RegionNet) -> None:
    frame = draw_frames(1, 240, seed=4)[0]
    image = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float() / 255
    with torch.inference_mode():
        images, _ = net.net.transform([image])
        (wanted,), _ = net.net.rpn(images, net.net.backbone(images.tensors))
    height, width = images.image_sizes[0]
    found, _ = net.find(frame, 2000)
    scaled = found * np.array([width, height, width, height], np.float32)
    np.testing.assert_allclose(scaled, wanted.numpy(), atol=1e-2)


def test_a_file_of_the_published_form_is_read_and_checked(
    net: RegionNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = weights.WEIGHTS[NAME]
    assert published.address == FasterRCNN_ResNet50_FPN_Weights.COCO_V1.url
    assert f"-{published.sha256}.pth" in published.name
    path = tmp_path / published.name
    torch.save(net.net.state_dict(), path)
    monkeypatch.setattr(rpn, "_nets", {})
    options = LoadOptions(weights_dir=tmp_path)
    with pytest.raises(UsageError, match="258fb6c6"):
        region_net(options)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(weights.WEIGHTS, NAME, replace(published, sha256=digest[:8]))
    loaded = region_net(options)
    assert loaded.provenance == {published.name: digest}
    frame = draw_frames(1, 240, seed=3)[0]
    np.testing.assert_array_equal(loaded.find(frame, 20)[0], net.find(frame, 20)[0])


def test_the_recipe_names_its_file_and_the_extractor_takes_it() -> None:
    pretrained = RECIPE.with_(weights="pretrained")
    assert weights.WEIGHTS[NAME] in weights.weights_of(pretrained)
    assert weights.WEIGHTS[NAME] not in weights.weights_of(
        pretrained.with_(proposals_source="edgeboxes")
    )
    extractor = RegionProposals(RECIPE)
    frame = draw_frames(1, 240, seed=3)[0]
    with pytest.raises(NotLoadedError):
        extractor.reduce(frame)
    extractor.load(weights="seeded:0")
    kept = extractor.reduce(frame)
    assert 1 < len(kept.boxes) <= 10
    assert kept.boxes[-1].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert extractor.provenance[NAME] == "seeded:0"
