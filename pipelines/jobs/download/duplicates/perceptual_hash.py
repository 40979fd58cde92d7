"""A hash of how a clip looks and sounds: near copies have near hashes, whatever their encoding.

Five frames, spread over the clip, and the picture of its sound (log of the energy over time and
frequency) each give 64 bits by the DCT of a small grey image (OpenCV's `PHash`). As text a hash is
the five frames' 16 hexadecimal digits each, a hyphen, and 16 digits of the sound; zeros stand for
what tells nothing: a blank picture, silence, or no track.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from pipelines.media.containers import open_media

N_FRAMES = 5
BITS = 64
_LEAST_CONTRAST = 3.0
"""Standard deviation of grey values below which a picture tells nothing."""
_LONGEST_S = 60.0
"""Of longer clips only so many seconds are looked at."""
_WINDOW, _HOP = 2048, 1024
_BANDS, _COLUMNS = 64, 64
_FLOOR_DB = -60.0


def hash_clip(path: Path) -> str:
    """Return the hash of a clip's file, of which at least its beginning must be decodable."""
    images, samples = _read(path)
    words = [_hash_image(image) for image in images]
    words += [bytes(8)] * (N_FRAMES - len(words))
    return b"".join(words).hex() + "-" + _hash_sound(samples).hex()


def _read(path: Path) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return small grey pictures of some frames, and the samples of the first channel."""
    images: list[NDArray[np.uint8]] = []
    blocks: list[NDArray[np.float32]] = []
    count, number = _count_frames(path), 0
    places = [int((n + 0.5) * count / N_FRAMES) for n in range(N_FRAMES)]
    with open_media(path) as container, suppress(av.error.FFmpegError):  # what came counts
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        for frame in container.decode(*_tracks(container)):
            if frame.time is not None and frame.time > _LONGEST_S:
                break
            if isinstance(frame, av.VideoFrame):
                if number in places:  # scaling costs more than decoding
                    small = frame.reformat(width=64, height=64, format="gray")
                    images += [small.to_ndarray().astype(np.uint8)] * places.count(number)
                number += 1
            elif isinstance(frame, av.AudioFrame):
                blocks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    return images, np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _count_frames(path: Path) -> int:
    """Return how many frames the part has that is looked at, without decoding any."""
    with open_media(path) as container, suppress(av.error.FFmpegError):
        moments = (
            float(packet.pts * packet.time_base)
            for packet in container.demux(*container.streams.video[:1])
            if packet.pts is not None and packet.time_base is not None and not packet.is_discard
        )
        return sum(moment <= _LONGEST_S for moment in moments)
    return 0


def _tracks(container: Any) -> list[Any]:
    return [*container.streams.video[:1], *container.streams.audio[:1]]


def _hash_image(image: NDArray[np.uint8]) -> bytes:
    import cv2

    if float(image.std()) < _LEAST_CONTRAST:
        return bytes(8)
    return bytes(cv2.img_hash.pHash(image)[0])


def _hash_sound(samples: NDArray[np.float32]) -> bytes:
    """Hash the log energies of 64 bands over 64 stretches of time."""
    if len(samples) < _WINDOW or not float(np.abs(samples).max()) > 1e-3:
        return bytes(8)
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), axis=1)) ** 2
    edges = np.unique(np.geomspace(4, power.shape[1], _BANDS + 1).astype(int))
    bands = np.add.reduceat(power, edges[:-1], axis=1)
    level = 10 * np.log10(bands / bands.max() + 1e-12)
    picture = np.clip(255 * (1 - level.T / _FLOOR_DB), 0, 255).astype(np.uint8)
    import cv2

    return _hash_image(cv2.resize(picture, (_COLUMNS, _BANDS), interpolation=cv2.INTER_AREA))
