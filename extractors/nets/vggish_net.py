"""The network of VGGish, and its weights out of Google's published SavedModel.

Paper: Hershey et al., "CNN Architectures for Large-Scale Audio Classification", ICASSP 2017.
Letters: N examples.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from extractors.nets.vggish_input import log_mel_examples
from extractors.nets.weights import WEIGHTS
from schemas.failure import UsageError


class Net(nn.Module):
    """The VGGish network up to its 128 outputs, before any activation on them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 3, padding=1)
        self.conv2 = nn.Conv2d(64, 128, 3, padding=1)
        self.conv3_1 = nn.Conv2d(128, 256, 3, padding=1)
        self.conv3_2 = nn.Conv2d(256, 256, 3, padding=1)
        self.conv4_1 = nn.Conv2d(256, 512, 3, padding=1)
        self.conv4_2 = nn.Conv2d(512, 512, 3, padding=1)
        self.fc1_1 = nn.Linear(6 * 4 * 512, 4096)
        self.fc1_2 = nn.Linear(4096, 4096)
        self.fc2 = nn.Linear(4096, 128)

    def hidden(self, examples: Tensor) -> Tensor:
        """Return the layer below the outputs, [N, 4096], of examples [N, 96, 64]."""
        x = examples[:, None]
        x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        x = nn.functional.max_pool2d(self.conv2(x).relu(), 2)
        x = nn.functional.max_pool2d(self.conv3_2(self.conv3_1(x).relu()).relu(), 2)
        x = nn.functional.max_pool2d(self.conv4_2(self.conv4_1(x).relu()).relu(), 2)
        x = x.permute(0, 2, 3, 1).flatten(1)  # time, frequency, channel: the order of the weights
        return self.fc1_2(self.fc1_1(x).relu()).relu()

    def forward(self, examples: Tensor) -> Tensor:
        """Return [N, 128] of examples [N, 96, 64]."""
        out: Tensor = self.fc2(self.hidden(examples))
        return out


def from_saved_model(folder: Path) -> dict[str, Tensor]:
    """Read the weights of a VGGish SavedModel as a state dict of `Net`.

    The model must take a waveform [S] at 16 kHz and give [N, 128]. Variables are found by name
    (`conv4_1/weights`) or, where names were lost, by shape; then a fixed noise is sent through
    both nets, and among assignments that shapes leave open the one that agrees is taken.
    Raises `UsageError` if variables are missing or no assignment agrees. TensorFlow is imported
    here and nowhere else, and never takes a GPU.
    """
    import tensorflow as tf
    import tensorflow_hub as hub

    tf.config.set_visible_devices([], "GPU")
    model = hub.load(str(folder))
    waveform = np.random.default_rng(0).normal(0.0, 0.1, 2 * 16_000).astype(np.float32)
    published = np.maximum(_run_saved_model(model, waveform), 0.0)
    examples = torch.from_numpy(log_mel_examples(waveform))
    worst = np.inf
    for state in _assignments(_variables(model, folder), folder):
        net = Net()
        net.load_state_dict(state)
        with torch.inference_mode():
            ours = net(examples).relu().numpy()
        worst = min(worst, float(np.abs(ours - published).max() / max(1.0, published.max())))
        if worst < 1e-2:
            return state
    raise UsageError(
        f"the model in {folder} is not VGGish: with its variables the network differs from it by "
        f"{worst:.3g} on a known waveform; fetch {WEIGHTS['vggish'].address} again"
    )


def _run_saved_model(model: Any, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Call the model itself or, if it cannot be called, its serving signature."""
    import tensorflow as tf

    if callable(model):
        return np.asarray(model(tf.constant(waveform)))
    serve = model.signatures["serving_default"]
    (argument,) = serve.structured_input_signature[1]
    (output,) = serve(**{argument: tf.constant(waveform)}).values()
    return np.asarray(output)


def _variables(model: Any, folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return every trained array of the model by name, or by its place in the file."""
    import tensorflow as tf

    variables = list(getattr(model, "variables", []))
    for function in getattr(model, "signatures", {}).values():
        variables += function.variables
    if variables:
        return {variable.name: np.asarray(variable) for variable in variables}
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    return {
        key: reader.get_tensor(key)
        for key in sorted(reader.get_variable_to_shape_map(), key=_natural)
        if np.issubdtype(reader.get_variable_to_dtype_map()[key].as_numpy_dtype, np.floating)
    }


def _natural(key: str) -> list[tuple[int, str]]:
    """Sort key that puts `variables/2` before `variables/10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", key)]


def _assignments(
    variables: Mapping[str, NDArray[np.float32]], folder: Path
) -> Iterator[dict[str, Tensor]]:
    """Yield every state dict that names, or else shapes, allow."""
    shapes = {name: tuple(value.shape) for name, value in Net().state_dict().items()}
    turned = {key: torch.from_numpy(_turned(value)) for key, value in variables.items()}
    choices = []
    for name, shape in shapes.items():
        layer, kind = name.split(".")
        ends = (f"{layer}/weights", f"{layer}/kernel") if kind == "weight" else (f"{layer}/bias",)
        fitting = {k: v for k, v in turned.items() if tuple(v.shape) == shape}
        named = {k: v for k, v in fitting.items() if any(end in k for end in ends)}
        if not fitting:
            raise UsageError(f"{folder} holds no VGGish: it has no variable for {name} {shape}")
        choices.append((named or fitting).items())
    for choice in itertools.product(*choices):
        if len({key for key, _ in choice}) == len(choice):
            yield {name: value for name, (_, value) in zip(shapes, choice, strict=True)}


def _turned(value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an array in torch's order of axes: [h, w, in, out] and [in, out] to out first."""
    order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.ndim)
    return np.ascontiguousarray(value.transpose(order) if order else value)
