"""Frames by their time stamps: what a viewer sees at given moments, kept without loss.

The sampler of recipe `clean`. Right for variable frame rate, a start other than zero, rotation, and
a picture that begins after the sound (its first frame stands in for the time before).
"""

import time
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.media.frames import ImageFile
from schemas import KnownError, Reason

_PNG_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def frames_at(
    path: Path, track: int, moments: NDArray[np.float64], target: Path, timeout_s: float
) -> tuple[ImageFile, list[int]]:
    """The frame shown at each moment, and which image of the file it is.

    `moments` are seconds after the start of the file, ascending; frames are written to `target`
    once each, as PNG. Raises `KnownError`: `corrupt` without any frame, `timeout`.
    """
    starts: list[int] = []
    places: list[int] = []
    deadline = time.monotonic() + timeout_s
    with target.open("wb") as file:
        for frame, shown_until in _shown(path, track, float(moments[0])):
            if time.monotonic() > deadline:
                raise KnownError(Reason.TIMEOUT, f"decoding took longer than {timeout_s:g} s")
            waiting = moments[len(places) :]
            wanted = int(np.searchsorted(waiting, shown_until, side="left"))
            if wanted:
                starts.append(file.tell())
                file.write(_png(frame))
                places += [len(starts) - 1] * wanted
            if len(places) == len(moments):
                break
    if not starts:
        raise KnownError(Reason.CORRUPT, "no frame could be decoded")
    places += [len(starts) - 1] * (len(moments) - len(places))
    return ImageFile(target, starts), places


def _shown(path: Path, track: int, start_s: float) -> Iterator[tuple["av.VideoFrame", float]]:
    """Frames with the time until which each is shown, from `start_s` or earlier on."""
    with av.open(str(path)) as container:
        stream = container.streams[track]
        assert isinstance(stream, av.VideoStream)
        stream.thread_type = "AUTO"
        origin = (container.start_time or 0) / av.time_base
        if start_s > 1.0:
            container.seek(int((start_s + origin) * av.time_base))
        last: av.VideoFrame | None = None
        try:
            for frame in container.decode(stream):
                if frame.pts is None or frame.time_base is None:
                    continue
                if last is not None:
                    yield last, float(frame.pts * frame.time_base) - origin
                last = frame
        except av.error.FFmpegError as error:
            if last is None:
                raise KnownError(Reason.CORRUPT, f"no frame could be decoded: {error}") from None
        if last is not None:
            yield last, float("inf")


def _png(frame: "av.VideoFrame") -> bytes:
    """An upright frame as PNG."""
    pixels = frame.to_ndarray(format="bgr24")
    quarter_turns = round((frame.rotation or 0) / 90) % 4
    upright = np.ascontiguousarray(np.rot90(pixels, quarter_turns), np.uint8)
    done, data = cv2.imencode(".png", upright, _PNG_FAST)
    if not done:
        raise RuntimeError(f"cannot write a frame of {upright.shape} as PNG")
    return data.tobytes()
