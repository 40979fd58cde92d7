"""Every extractor keeps the same promises."""

import io
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from extractors.base import Features, NotLoadedError
from extractors.frames import FrameExtractor, extract_together
from extractors.nets.shared import Net
from extractors.registry import EXTRACTORS, create
from schemas.failure import KnownError, Reason, UsageError
from schemas.features import FEATURES
from schemas.media import ClipMedia, Components, Proposals, StoredFrames
from tests.extractors.conftest import SECONDS, CountedFrames, make_media
from tests.places import ROOT

NAMES = sorted(EXTRACTORS)
VISUAL = ["clip", "frames", "proposals", "r2plus1d", "resnet152"]

WITH_NET = [name for name in NAMES if name not in ("frames", "logmel")]


def arrays(features: Features | None) -> list[np.ndarray]:
    """Every array of what an extractor gave."""
    assert features is not None
    if isinstance(features, StoredFrames):
        return [*(decoded(image) for image in features.image), features.frame_index]
    if isinstance(features, np.ndarray):
        return [features]
    return [values for values in vars(features).values() if values is not None]


def decoded(image: bytes) -> np.ndarray:
    """The pixels of an encoded image."""
    return np.asarray(Image.open(io.BytesIO(image)))


def rows(features: Features | None) -> np.ndarray:
    """The feature rows of what an extractor gave."""
    if isinstance(features, Proposals):
        return features.feature
    if isinstance(features, Components):
        return features.vggish
    if isinstance(features, StoredFrames):
        return np.stack([decoded(image) for image in features.image]).astype(np.float32) / 255
    assert isinstance(features, np.ndarray)
    return features


def extract(name: str, media: ClipMedia) -> Features | None:
    return create(name).load("cpu", "seeded:0").extract(media)


def test_names_are_those_of_the_table_of_features() -> None:
    assert list(EXTRACTORS) == list(FEATURES)


def test_registry_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'tensorflow', 'cv2', 'librosa', 'torchvision'}"
    code = f"import sys, extractors.registry; sys.exit(bool({heavy} & set(sys.modules)))"
    root = ROOT
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def test_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LookupError, match=r"did you mean 'vggish'\? Known: .*resnet152"):
        create("vgish")


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_as_the_spec_says(name: str, media: ClipMedia) -> None:
    spec = create(name).spec
    features = extract(name, media)
    found = rows(features)
    assert spec.extractor == name
    assert found.shape[1:] == (spec.shape or (120, 160, 3))
    assert found.dtype == np.float32
    assert all(np.isfinite(array).all() for array in arrays(features))
    if spec.unit == "snippet":
        assert len(found) == SECONDS
    assert found.std() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_same_clip_gives_the_same_bytes(name: str, media: ClipMedia) -> None:
    for first, second in zip(
        arrays(extract(name, media)), arrays(extract(name, media)), strict=True
    ):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_silence_and_black_are_finite(name: str, blank: ClipMedia) -> None:
    assert all(np.isfinite(array).all() for array in arrays(extract(name, blank)))


@pytest.mark.parametrize("name", NAMES)
def test_missing_modality_gives_none(name: str, media: ClipMedia) -> None:
    audio = create(name).spec.modality == "audio"
    without = replace(media, waveform=None) if audio else replace(media, frames=None)
    assert extract(name, without) is None


@pytest.mark.parametrize("name", WITH_NET)
def test_extract_before_load_is_a_mistake(name: str, media: ClipMedia) -> None:
    with pytest.raises(NotLoadedError, match="call load"):
        create(name).extract(media)


@pytest.mark.parametrize("name", ["vggish", "r2plus1d", "resnet152", "logmel"])
def test_seconds_stand_by_themselves(name: str) -> None:
    """A long clip's rows are those of its seconds, up to rounding in passes of other sizes.

    For logmel up to the frame at the cut, whose window reaches into the neighbour.
    """
    whole = make_media(2)
    assert whole.waveform is not None
    assert whole.frames is not None
    last = replace(
        whole,
        n_snippets=1,
        waveform=whole.waveform[-16_000:],
        frames=[whole.frames[i] for i in range(8, 16)],
        audio_valid=whole.audio_valid[:1],
        frames_valid=whole.frames_valid[:1],
    )
    alone, within = rows(extract(name, last))[0], rows(extract(name, whole))[1]
    cut = slice(1, None) if name == "logmel" else slice(None)
    np.testing.assert_allclose(alone[cut], within[cut], atol=2e-4)


@pytest.mark.parametrize("name", VISUAL)
def test_chunks_do_not_show(name: str, media: ClipMedia) -> None:
    loaded = {name: create(name).load("cpu", "seeded:0")}
    whole, chunked = (
        rows(extract_together(loaded, media, chunk_seconds=seconds)[name]) for seconds in (10, 1)
    )
    np.testing.assert_allclose(chunked, whole, atol=2e-4)


def test_together_equals_alone_and_asks_for_each_frame_once(media: ClipMedia) -> None:
    loaded = {name: create(name).load("cpu", "seeded:0") for name in NAMES}
    alone = {name: extractor.extract(media) for name, extractor in loaded.items()}
    assert isinstance(media.frames, CountedFrames)
    media.frames.asked = 0
    together = extract_together(loaded, media)
    assert media.frames.asked == SECONDS * 8
    assert list(together) == NAMES
    for name in NAMES:
        for first, second in zip(arrays(alone[name]), arrays(together[name]), strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", [name for name in VISUAL if name in WITH_NET])
def test_undefined_numbers_are_known_trouble(name: str, media: ClipMedia) -> None:
    extractor = create(name).load("cpu", "seeded:0")
    assert isinstance(extractor, FrameExtractor)
    broken = torch.nn.Sequential(extractor.net.trunk, torch.nn.Threshold(1e9, float("nan")))
    good = extractor.net
    extractor._net = Net(broken, good.device, good.dtype, good.layout, good.output_scaling, {})
    with pytest.raises(KnownError, match=name) as caught:
        extractor.extract(media)
    assert caught.value.reason is Reason.NOT_FINITE


@pytest.mark.parametrize("name", WITH_NET)
def test_device_that_is_not_there_is_a_sentence(name: str) -> None:
    with pytest.raises(UsageError, match="cuda:99"):
        create(name).load("cuda:99", "seeded")


@pytest.mark.parametrize("name", WITH_NET)
def test_provenance_names_the_seed(name: str) -> None:
    assert set(create(name).load("cpu", "seeded").provenance.values()) == {"seeded:0"}


@pytest.fixture
def own_threads() -> Iterator[None]:
    """Give the process its number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize("name", ["logmel", "resnet152", "r2plus1d", "vggish", "segments", "ncp"])
def test_the_process_s_number_of_threads_changes_no_bit(media: ClipMedia, name: str) -> None:
    """Each clip has one thread of PyTorch, whatever the process has."""
    loaded, found = create(name).load("cpu", "seeded:0"), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(rows(loaded.extract(media)))
        assert torch.get_num_threads() == count
    assert all(np.array_equal(found[0], other) for other in found)


@pytest.mark.usefixtures("own_threads")
def test_a_net_has_one_thread_and_the_process_keeps_its_own() -> None:
    class Trunk(torch.nn.Module):
        """Gives the number of threads."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full_like(x, torch.get_num_threads())

    net = Net(Trunk(), torch.device("cpu"), torch.float32, torch.contiguous_format, None, {})
    torch.set_num_threads(3)
    assert net(torch.zeros(1, 1)).item() == 1
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("name", ["r2plus1d", "vggish"])
def test_clips_in_one_net_at_once_get_what_each_gets_alone(name: str) -> None:
    loaded, clips = create(name).load("cpu", "seeded:0"), [make_media(2), make_media(1)] * 2
    alone = [rows(loaded.extract(clip)) for clip in clips]
    with ThreadPoolExecutor(len(clips)) as pool:
        together = [rows(features) for features in pool.map(loaded.extract, clips)]
    assert all(map(np.array_equal, alone, together))
