"""Which containers may be opened, and how: a local file alone, never a reference to another.

The libraries behind ffmpeg choose a container by a file's content, not by its name. A playlist or
a script that calls itself `.mp4` (HLS, DASH, concat, SDP, SMIL, an image sequence) would make them
read other files or the network; so only containers that hold their media themselves are opened,
with no protocol but `file`. External data references in QuickTime files are off by default there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.error

from schemas import KnownError, Reason

DEMUXERS = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg",
    "mpegvideo", "flv", "ogg", "wav", "mp3", "flac", "aac", "asf", "w64", "aiff", "au", "caf",
    "ac3", "eac3", "dts", "amr", "ape", "wv", "tta", "tak", "mpc", "mpc8", "voc", "dv", "gif",
    "mxf", "rm", "ivf", "nut", "wtv", "m4v", "h264", "hevc",
)  # fmt: skip
"""Names of libavformat's demuxers; every job opens media with these alone."""

READ_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(DEMUXERS)}
"""Options of an input, of the ffmpeg program and of PyAV alike."""


_LEADING = frozenset(
    "concat hls dash imf sdp rtsp rtp image2 webm_dash_manifest smil lavfi vapoursynth".split()
)
"""Demuxers that read what another file, or an address, holds."""


def refusal(error: Exception) -> KnownError | None:
    """Return why a file was not opened when its container is none of `DEMUXERS`, else None.

    The library names the container where its messages are kept (`av.logging`, level ERROR).
    """
    message: Any = getattr(error, "log", None)  # level, container, text
    if message is None or "not on whitelist" not in message[2]:
        return None
    name = message[1].split(",")[0]
    if name in _LEADING:
        return KnownError(
            Reason.UNSAFE_INPUT, f"the file is a playlist or script ({name}) that leads to others"
        )
    return KnownError(
        Reason.FORMAT, f"the file is {name}, which is none of the containers that hold media"
    )


@contextmanager
def open_media(
    path: Path, timeout_s: float | None = None
) -> Iterator["av.container.InputContainer"]:
    """Open a local media file with PyAV; `av.error.FFmpegError` when it is none of `DEMUXERS`.

    Opening and each read may take `timeout_s` seconds.
    """
    with av.open(
        f"file:{path.resolve()}", metadata_errors="replace", timeout=timeout_s, options=READ_OPTIONS
    ) as container:
        yield container
