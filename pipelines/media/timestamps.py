"""Frames by their time stamps: what a viewer sees at given times, kept without loss.

The sampler of recipe `clean`. Right for variable frame rate, a start other than zero, rotation, and
a video that begins after the audio (its first frame stands in for the time before).
"""

import time
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.media.containers import open_media
from schemas import KnownError, Reason

_PNG_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def write_frames(
    path: Path,
    track: int,
    times: NDArray[np.float64],
    target: Path,
    *,
    timeout_s: float,
    most_bytes: int,
) -> tuple[list[int], list[int]]:
    """Write the frame shown at each time to `target`, once each, as PNG.

    `times` are seconds after the start of the file, ascending. Return where each image starts in
    `target`, and for each time the number of its image; all images have the size of the first.
    Raises `KnownError`: `corrupt` without any frame, `timeout`, `too_large` above `most_bytes`.
    """
    starts: list[int] = []
    picked: list[int] = []
    deadline = time.monotonic() + timeout_s
    size: tuple[int, int] | None = None
    with target.open("wb") as file:
        for frame, shown_until in _shown(path, track, float(times[0])):
            if time.monotonic() > deadline:
                raise KnownError(Reason.TIMEOUT, f"decoding took longer than {timeout_s:g} s")
            waiting = times[len(picked) :]
            wanted = int(np.searchsorted(waiting, shown_until, side="left"))
            if wanted:
                size = size or (frame.width, frame.height)
                starts.append(file.tell())
                file.write(_png(frame, *size))
                picked += [len(starts) - 1] * wanted
            if file.tell() > most_bytes:
                raise KnownError(Reason.TOO_LARGE, f"the frames take over {most_bytes:,} bytes")
            if len(picked) == len(times):
                break
    if not starts:
        raise KnownError(Reason.CORRUPT, "no frame could be decoded")
    picked += [len(starts) - 1] * (len(times) - len(picked))
    return starts, picked


def _shown(path: Path, track: int, start_s: float) -> Iterator[tuple["av.VideoFrame", float]]:
    """Yield frames with the time until which each is shown, from `start_s` or earlier on."""
    with open_media(path) as container:
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


def _png(frame: "av.VideoFrame", width: int, height: int) -> bytes:
    """Return an upright frame as PNG, scaled where the video has changed its size."""
    pixels = frame.to_ndarray(format="bgr24", width=width, height=height)
    quarter_turns = round((frame.rotation or 0) / 90) % 4
    upright = np.ascontiguousarray(np.rot90(pixels, quarter_turns), np.uint8)
    done, data = cv2.imencode(".png", upright, _PNG_FAST)
    if not done:
        raise RuntimeError(f"cannot write a frame of {upright.shape} as PNG")
    return data.tobytes()
