"""The two picture nets against plain torchvision, frame preparation included."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import resnet152
from torchvision.models.video import r2plus1d_18
from torchvision.transforms import v2

from extractors import r2plus1d
from extractors.nets import fused_conv as fused
from extractors.nets import shared as nets
from extractors.nets import weights
from extractors.nets.precision import resolve_precision
from extractors.nets.torchvision_trunks import TRUNKS
from extractors.registry import create
from extractors.resnet152 import ResNet152
from schemas.failure import UsageError
from schemas.media import ClipMedia
from schemas.recipe import RECIPES
from tests.extractors.conftest import make_media


def with_lived_in_norms(net: nn.Module) -> nn.Module:
    """Batch statistics far from 0 and 1, so that a wrong fold shows."""
    generator = torch.Generator().manual_seed(5)
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
            norm.running_mean = torch.randn(norm.num_features, generator=generator) * 0.1
            norm.running_var = torch.rand(norm.num_features, generator=generator) + 0.5
            norm.bias.data = torch.randn(norm.num_features, generator=generator) * 0.1
            norm.weight.data = torch.rand(norm.num_features, generator=generator) * 0.3 + 0.2
    return net.eval()


@pytest.mark.parametrize(
    ("name", "shape"), [("resnet152", (2, 3, 64, 96)), ("r2plus1d", (1, 3, 8, 56, 56))]
)
def test_folding_changes_nothing(name: str, shape: tuple[int, ...]) -> None:
    net = with_lived_in_norms(TRUNKS[name]())
    pictures = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = net(pictures)
        folded = nets.fold_batchnorm(net)
        found = folded(pictures)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d) for m in folded.modules())
    assert float(expected.std()) > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, nn.Module]:
    """Weight files of torchvision's form in `tmp_path`, and the plain nets behind them."""
    made = {"resnet152": resnet152(weights=None), "r2plus1d": r2plus1d_18(weights=None)}
    for name, net in made.items():
        path = tmp_path / weights.WEIGHTS[name].name
        torch.save(with_lived_in_norms(net).state_dict(), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pinned = replace(weights.WEIGHTS[name], sha256=digest[:8])
        monkeypatch.setitem(weights.WEIGHTS, name, pinned)
        net.fc = nn.Identity()
    return made


def test_resnet152_is_torchvisions(
    published: dict[str, nn.Module], tmp_path: Path, media: ClipMedia
) -> None:
    recipe = RECIPES["llp-eccv20"].with_(resnet152_frames="keep")
    extractor = create("resnet152", recipe).load("cpu", weights_dir=tmp_path)
    found = extractor.extract(media)
    assert isinstance(found, np.ndarray)
    assert found.shape == (2, 8, 2048)
    prepare = v2.Compose([
        v2.Resize(256), v2.CenterCrop(224), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])  # fmt: skip
    assert media.frames is not None
    batch = torch.stack([prepare(Image.fromarray(media.frames[i])) for i in (0, 15)])
    with torch.inference_mode():
        expected = published["resnet152"](batch).numpy()
    np.testing.assert_allclose(found.reshape(16, 2048)[[0, 15]], expected, atol=1e-4)
    assert list(extractor.provenance) == ["resnet152-394f9c45.pth"]
    assert all(len(digest) == 64 for digest in extractor.provenance.values())
    mean = create("resnet152").load("cpu", weights_dir=tmp_path).extract(media)
    assert isinstance(mean, np.ndarray)
    np.testing.assert_allclose(mean, found.mean(axis=1), atol=1e-6)


def test_r2plus1d_is_torchvisions(
    published: dict[str, nn.Module], tmp_path: Path, media: ClipMedia
) -> None:
    found = create("r2plus1d").load("cpu", weights_dir=tmp_path).extract(media)
    assert media.frames is not None
    small = [
        Image.fromarray(media.frames[i]).resize((112, 112), Image.Resampling.BILINEAR)
        for i in range(8, 16)
    ]
    video = torch.from_numpy(np.stack([np.asarray(s) for s in small])).permute(3, 0, 1, 2) / 255
    video = (video - r2plus1d.MEAN.view(3, 1, 1, 1)) / r2plus1d.STD.view(3, 1, 1, 1)
    with torch.inference_mode():
        expected = published["r2plus1d"](video[None]).numpy()
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found[1:], expected, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(240, 320), (321, 181), (90, 1000), (224, 224)])
def test_frames_are_prepared_as_torchvision_does(height: int, width: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    expected = v2.CenterCrop(224)(v2.Resize(256)(Image.fromarray(noise)))
    np.testing.assert_array_equal(ResNet152().reduce(noise), np.asarray(expected))


@pytest.mark.parametrize("name", ["resnet152", "r2plus1d"])
def test_bf16_stays_close(name: str, media: ClipMedia) -> None:
    full = create(name).load("cpu", "seeded").extract(media)
    half = create(name).load("cpu", "seeded", precision="bf16").extract(media)
    assert isinstance(full, np.ndarray)
    assert isinstance(half, np.ndarray)
    assert half.dtype == np.float32
    assert not np.array_equal(full, half)
    cosine = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert cosine.min() > 0.99


def test_nets_are_shared() -> None:
    first = create("resnet152").load("cpu", "seeded")
    second = create("proposals").load("cpu", "seeded:0")
    assert first.net is second.net  # type: ignore[attr-defined]


def test_fp16_needs_cuda() -> None:
    with pytest.raises(UsageError, match="fp16 needs a CUDA device"):
        create("resnet152").load("cpu", "seeded", precision="fp16")
    with pytest.raises(UsageError, match="fp16 needs a CUDA device"):
        resolve_precision("fp16")


@pytest.mark.parametrize(
    ("flags", "requested", "chosen", "sentence"),
    [
        ({"avx512_bf16": True}, "auto", "bf16", "cpu has avx512_bf16"),
        ({"amx_bf16": True, "avx512_bf16": True}, "auto", "bf16", "cpu has amx_bf16"),
        ({}, "auto", "fp32", "no bf16 instructions"),
        ({}, "bf16", "bf16", "fp32 would be faster"),
        ({"amx_bf16": True}, "fp32", "fp32", "as asked"),
    ],
)
def test_precision_is_chosen_by_the_processor(
    monkeypatch: pytest.MonkeyPatch,
    flags: dict[str, bool],
    requested: str,
    chosen: str,
    sentence: str,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    precision, reason = resolve_precision(requested)  # type: ignore[arg-type]
    assert precision == chosen
    assert sentence in reason


def test_unknown_precision_and_device() -> None:
    with pytest.raises(UsageError, match="precision 'int8' is not known"):
        resolve_precision("int8")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="device 'tpu' is not known"):
        resolve_precision("auto", "tpu")


def test_proposals_are_boxes_of_middle_frames() -> None:
    clip = make_media(2, width=320, height=240)
    found = create("proposals").load("cpu", "seeded").extract(clip)
    boxes = found.boxes  # type: ignore[union-attr]
    assert set(found.frame_index) == {4, 12}  # type: ignore[union-attr]
    for second in (0, 1):
        mine = found.snippet_index == second  # type: ignore[union-attr]
        assert 1 <= mine.sum() <= 10
        np.testing.assert_array_equal(found.rank[mine], np.arange(mine.sum()))  # type: ignore[union-attr]
        assert (np.diff(found.score[mine]) <= 0).all()  # type: ignore[union-attr]
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 1


def test_best_box_holds_the_only_thing_in_sight() -> None:
    frame = np.full((240, 320, 3), 60, dtype=np.uint8)
    frame[70:150, 100:220] = (220, 40, 40)
    boxes = create("proposals").reduce(frame).boxes  # type: ignore[attr-defined]
    x0, y0, x1, y1 = boxes[0] * (320, 240, 320, 240)
    inner = max(0, min(x1, 220) - max(x0, 100)) * max(0, min(y1, 150) - max(y0, 70))
    union = (x1 - x0) * (y1 - y0) + 120 * 80 - inner
    assert inner / union > 0.7


def test_nothing_in_sight_is_the_whole_frame() -> None:
    seen = create("proposals").reduce(np.full((240, 320, 3), 9, dtype=np.uint8))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(seen.boxes, [[0, 0, 1, 1]])
    np.testing.assert_array_equal(seen.score, [0])


def test_box_features_differ_and_the_whole_box_is_the_whole_map() -> None:
    clip = make_media(1, width=320, height=240)
    found = create("proposals").load("cpu", "seeded").extract(clip)
    features = found.feature  # type: ignore[union-attr]
    assert len(np.unique(features.round(3), axis=0)) == len(features)


class _Blocks(nn.Module):
    """What residual nets do with a map: rectify it, add it, and use it again later."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        early = self.relu(self.first(x))
        late = self.relu(early + self.second(early))
        both = self.relu(self.third(late) + x)
        out: Tensor = both + late + early  # `early` and `late` must not have been overwritten
        return out


def test_fused_net_is_the_net() -> None:
    torch.manual_seed(0)
    net, x = _Blocks().eval().requires_grad_(False), torch.randn(2, 8, 9, 9)
    before = x.clone()
    fused_net = fused.fuse(net)
    assert sum(isinstance(m, fused.FusedConv) for m in fused_net.modules()) == 3
    assert not any(isinstance(m, nn.Conv2d | nn.ReLU) for m in fused_net.modules())
    torch.testing.assert_close(fused_net(x), net(x), rtol=1e-5, atol=1e-5)
    assert torch.equal(x, before)
