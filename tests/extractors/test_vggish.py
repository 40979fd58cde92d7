"""VGGish: its front end against golden numbers, its network against a TensorFlow SavedModel."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from extractors.base import LoadOptions
from extractors.nets.vggish_input import _mel_matrix
from extractors.nets.vggish_net import Net, from_saved_model
from extractors.registry import create
from extractors.vggish import Embedder, log_mel_examples, quantise
from schemas.failure import UsageError
from schemas.media import ClipMedia
from schemas.recipe import RECIPES
from tests.extractors.conftest import make_media

EXAMPLES = {15_359: 0, 15_599: 0, 15_600: 1, 15_760: 1, 16_000: 1, 153_840: 10, 160_000: 10}


def sound(case: str, seconds: int) -> NDArray[np.float32]:
    """The sounds behind the golden numbers: a sweep, noise, clicks."""
    n = np.arange(16_000 * seconds)
    time = n / 16_000
    made = {
        "sweep": 0.5 * np.sin(2 * np.pi * (50 * time + 7850 / (2 * seconds) * time**2)),
        "noise": 0.1 * np.random.default_rng(7).standard_normal(len(n)),
        "clicks": np.where(n % 4000 == 0, 0.9, 0.0),
    }
    return made[case].astype(np.float32)


@pytest.mark.parametrize("seconds", [1, 10])
@pytest.mark.parametrize("case", ["sweep", "noise", "clicks"])
def test_front_end_is_the_published_one(shared: Path, case: str, seconds: int) -> None:
    golden = np.load(shared / "golden" / "vggish_mel.npz")
    name = f"{case}_{seconds}s"
    examples = log_mel_examples(sound(case, seconds))
    assert examples.dtype == np.float32
    np.testing.assert_allclose(examples, golden[f"{name}/examples"], atol=1e-5)
    half = log_mel_examples(sound(case, seconds), hop_s=0.48)
    assert len(half) == golden[f"{name}/n_examples_hop_0.48"]
    np.testing.assert_array_equal(half[::2], examples[: len(half[::2])])


def test_mel_matrix_is_the_published_one(shared: Path) -> None:
    golden = np.load(shared / "golden" / "vggish_mel.npz")["mel_matrix"]
    np.testing.assert_allclose(_mel_matrix(), golden, atol=1e-12)


def test_counts_of_examples(shared: Path) -> None:
    table = json.loads((shared / "golden" / "vggish_mel.json").read_text())
    for samples, (_, examples) in table["samples_to_[frames,examples]"].items():
        found = log_mel_examples(np.zeros(int(samples), dtype=np.float32))
        assert found.shape == (examples, 96, 64)


@pytest.mark.parametrize(("samples", "examples"), [*EXAMPLES.items(), (0, 0), (100, 0)])
def test_a_rest_is_dropped(samples: int, examples: int) -> None:
    assert len(log_mel_examples(np.zeros(samples, dtype=np.float32))) == examples


def test_long_sound_is_framed_as_one() -> None:
    long = np.tile(sound("noise", 10), 5)
    np.testing.assert_array_equal(
        log_mel_examples(long)[48:50], log_mel_examples(long[48 * 15_360 :])[:2]
    )


@pytest.mark.parametrize("bad", [np.zeros((2, 16_000), np.float32), np.zeros(16_000, np.int16)])
def test_what_is_no_sound_is_refused(bad: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match="need floating point"):
        log_mel_examples(bad)  # type: ignore[arg-type]


def test_recipe_decides_on_the_relu(media: ClipMedia) -> None:
    kept = create("vggish").load("cpu", "seeded").extract(media)
    bare = RECIPES["llp-eccv20"].with_(vggish_relu=False)
    raw = create("vggish", bare).load("cpu", "seeded").extract(media)
    assert isinstance(kept, np.ndarray)
    assert isinstance(raw, np.ndarray)
    assert raw.min() < 0
    np.testing.assert_array_equal(kept, np.maximum(raw, 0))


def test_audioset_recipe_gives_bytes(media: ClipMedia) -> None:
    steps = create("vggish", RECIPES["audioset-vggish"]).load("cpu", "seeded").extract(media)
    assert isinstance(steps, np.ndarray)
    np.testing.assert_array_equal(steps, np.floor(np.clip(steps, 0, 255)))
    assert steps.std() > 10


def test_quantise_with_published_pca(shared: Path) -> None:
    pca = np.load(shared / "golden" / "vggish_pca_params.npz")
    vectors, means = pca["pca_eigen_vectors"], pca["pca_means"]
    raw = (means + vectors.T @ np.linspace(-3, 3, 128))[None].astype(np.float32)
    projected = np.array([vectors[k] @ (raw[0] - means) for k in range(128)])
    expected = ((np.clip(projected, -2, 2) + 2) * (255 / 4)).astype(np.uint8)
    np.testing.assert_array_equal(quantise(raw, vectors, means)[0], expected)


def test_segments_of_ten_seconds() -> None:
    clip = make_media(10, width=16, height=16)
    segments = create("segments").load("cpu", "seeded").extract(clip)
    assert isinstance(segments, np.ndarray)
    assert segments.shape == (19, 128)
    embed = Embedder(RECIPES["llp-eccv20"])
    embed.open(LoadOptions(weights="seeded"))
    assert clip.waveform is not None
    third = log_mel_examples(clip.waveform[2 * 7_680 : 2 * 7_680 + 15_600])
    np.testing.assert_allclose(segments[2], embed(third)[0], atol=1e-4)


PATHS = (
    "conv1", "conv2", "conv3/conv3_1", "conv3/conv3_2", "conv4/conv4_1", "conv4/conv4_2",
    "fc1/fc1_1", "fc1/fc1_2", "fc2",
)  # fmt: skip
"""Layers of VGGish under their names in the published model."""


def parameters(net: Net, layer: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight and bias of a layer in TensorFlow's order of axes."""
    weight = net.get_parameter(f"{layer}.weight").detach().numpy()
    order = (2, 3, 1, 0) if weight.ndim == 4 else (1, 0)
    return weight.transpose(order), net.get_parameter(f"{layer}.bias").detach().numpy()


def save_model(folder: Path, names: list[str] | None, width_of_fc2: int = 128) -> Net:
    """Write random VGGish weights as a SavedModel that takes a waveform; return them in torch."""
    import tensorflow as tf

    torch.manual_seed(0)
    net = Net()
    mel, hann = _mel_matrix().astype(np.float32), tf.signal.hann_window(400, periodic=True)

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights, self.biases = [], []
            for number, path in enumerate(PATHS):
                weight, bias = parameters(net, path.rsplit("/")[-1])
                if number == 8:
                    weight, bias = weight[:, :width_of_fc2], bias[:width_of_fc2]
                name = f"vggish/{path}" if names is None else names[number]
                self.weights.append(tf.Variable(weight, name=f"{name}/weights"))
                self.biases.append(
                    tf.Variable(bias, name=f"{name}/biases" if names is None else f"b{number}")
                )

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def __call__(self, waveform):  # type: ignore[no-untyped-def]
            frames = tf.signal.frame(waveform, 400, 160) * hann
            mels = tf.abs(tf.signal.rfft(frames, [512])) @ mel
            x = tf.signal.frame(tf.math.log(mels + 0.01), 96, 96, axis=0)[..., None]
            for number in range(6):
                x = tf.nn.conv2d(x, self.weights[number], 1, "SAME") + self.biases[number]
                x = tf.nn.relu(x)
                if number in (0, 1, 3, 5):
                    x = tf.nn.max_pool2d(x, 2, 2, "SAME")
            x = tf.reshape(x, [-1, 12_288])
            for number in (6, 7):
                x = tf.nn.relu(x @ self.weights[number] + self.biases[number])
            return x @ self.weights[8] + self.biases[8]

    tf.saved_model.save(Model(), str(folder))
    return net


@pytest.mark.parametrize("names", [None, [f"v{number}" for number in range(9)]])
def test_saved_model_is_read_by_name_or_by_shape(tmp_path: Path, names: list[str] | None) -> None:
    expected = save_model(tmp_path, names).state_dict()
    found = from_saved_model(tmp_path)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=0)


def test_network_agrees_with_tensorflow(tmp_path: Path, media: ClipMedia) -> None:
    import tensorflow_hub as hub

    save_model(tmp_path / "vggish", None)
    extractor = create("vggish").load("cpu", "pretrained", weights_dir=tmp_path)
    found = extractor.extract(media)
    model = hub.load(str(tmp_path / "vggish"))
    expected = np.concatenate([model(second) for second in media.waveform_by_second()])
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-4)
    assert set(extractor.provenance) == {
        f"vggish/{name}"
        for name in (
            "saved_model.pb",
            "variables/variables.index",
            "variables/variables.data-00000-of-00001",
        )
    }


def test_another_model_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, None, width_of_fc2=64)
    with pytest.raises(UsageError, match=r"holds no VGGish: .*fc2\.weight"):
        from_saved_model(tmp_path)
