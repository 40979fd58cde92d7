"""Labels that authors published as changed, read without running anything in their files.

Wu and Yang's program (CVPR 2021) writes `need_to_change.pkl`: two lists, for video and for audio,
of a list for each class with the places of training clips whose label of that class goes. The
places count the lines of the training list. Letters: N clips, C classes.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.data.source import ClipSource
from schemas import UsageError
from schemas.messages import printable

MOST_BYTES = 64 * 2**20
"""Bytes of a file of changed labels at most; Wu and Yang's program writes some MB."""
_REBUILD_SCALAR = np.int64(0).__reduce__()[0]


def _storage(content: bytes) -> Any:
    """Return numbers of a tensor, where PyTorch's own reader would run what they hold."""
    return torch.load(io.BytesIO(content), weights_only=True)


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "scalar"): _REBUILD_SCALAR,
    ("numpy._core.multiarray", "scalar"): _REBUILD_SCALAR,
}
"""What such a file may name: numbers of PyTorch and of NumPy, in containers."""


class NumbersOnly(pickle.Unpickler):
    """Reads lists of numbers and refuses whatever else a pickle names."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the allowed functions; `UnpicklingError` for any other."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _ALLOWED[module, name]


def read_changes(path: Path, training_list: Path, clips: ClipSource) -> tuple[Tensor, Tensor]:
    """Return the labels that go from audio and from video, bool [N, C] each.

    `training_list` is the file of training clips, `AVVP_train.csv`, whose lines the places count.
    Clips that the store lacks are passed over; `UsageError` for files that do not fit.
    """
    keys, classes = _training_keys(training_list), len(clips.vocabulary)
    visual, audio = _checked(path, _read(path), classes, len(keys))
    row_of = {key: row for row, key in enumerate(clips.keys)}
    dropped = []
    for by_class in (audio, visual):
        found = torch.zeros(len(clips.keys), classes, dtype=torch.bool)
        for column, places in enumerate(by_class):
            rows = [row_of[keys[place]] for place in places if keys[place] in row_of]
            found[rows, column] = True
        dropped.append(found)
    return dropped[0], dropped[1]


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        return NumbersOnly(io.BytesIO(content)).load()
    except Exception as error:  # noqa: BLE001  what a damaged pickle does to its reader is not listed
        said = printable(" ".join(str(error).split()) or type(error).__name__, 120)
        raise UsageError(
            f"{path} is no list of changed labels ({said}); it is the need_to_change.pkl of Wu and "
            "Yang's program, lists of numbers and nothing else"
        ) from None


def _checked(path: Path, content: Any, classes: int, clips: int) -> list[list[list[int]]]:
    """Return the places by modality and class; `UsageError` for another form or other classes."""
    try:
        modalities = [[[int(place) for place in places] for places in held] for held in content]
    except (TypeError, ValueError, RuntimeError):
        modalities = []
    if len(modalities) != 2:
        raise UsageError(f"{path} holds no two lists, of video and of audio; give another file")
    for held in modalities:
        if len(held) != classes:
            raise UsageError(
                f"{path} is for {len(held)} classes, and the clips have {classes}; give the "
                "changes of the same data set"
            )
        worst = [place for places in held for place in places if not 0 <= place < clips]
        if worst:
            raise UsageError(
                f"{path} names training clip {worst[0]}, and the training list has {clips:,}; give "
                "the list that the changes were made with"
            )
    return modalities


def _training_keys(path: Path) -> Sequence[str]:
    """Return the clip keys of a training list in order; `UsageError` when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"training list {path} cannot be read ({error})") from None
    keys = [line.split("\t")[0] for line in lines[1:] if line.strip()]
    if not keys or lines[0].split("\t")[0] != "filename":
        raise UsageError(
            f"training list {path} has no clips below a line that begins with filename; it is "
            "AVVP_train.csv of the data set LLP"
        )
    return keys
