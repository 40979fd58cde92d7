"""What is in a media file: its best video and audio track and how long they really last.

Durations come from walking the packets (no decoding), so files without a duration in the header
are measured too.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error

from pipelines.media.containers import open_media, refusal
from pipelines.media.streams import choose_streams
from schemas import KnownError, Reason

_log = logging.getLogger(__name__)
_READ_TIMEOUT_S = 20.0
MOST_S = 8 * 3600
"""Neither a file nor a clip may last longer, in seconds."""


@dataclass(frozen=True)
class Track:
    """One chosen track."""

    index: int
    """Number of the stream in the file."""
    end_s: float
    """Where its last packet ends, in seconds after the start of the file."""
    rate: float | None
    """Frames per second of video, samples per second of audio; None when the file does not say."""
    channels: int | None = None
    """Number of channels of audio; None for video."""


@dataclass(frozen=True)
class Probe:
    """The tracks that decoding will use; None where the file has no such track."""

    video: Track | None
    audio: Track | None

    @property
    def duration_s(self) -> float:
        """Where the longer track ends, in seconds."""
        return max(track.end_s for track in (self.video, self.audio) if track is not None)


def probe(path: Path) -> Probe:
    """Measure the tracks of a media file.

    Raises `KnownError`: `corrupt` when it cannot be opened or has no length, `format` or
    `unsafe_input` when its container is none of those that may be, `no_streams` when it holds
    neither video nor audio, `too_large` above 8192 x 8192 pixels or 8 hours.
    """
    try:
        with open_media(path, _READ_TIMEOUT_S) as container:
            tracks = _measure(container)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        detail = f"the file cannot be opened: {getattr(error, 'strerror', None) or error}"
        raise refusal(error) or KnownError(Reason.CORRUPT, detail) from None
    if tracks.duration_s == 0:
        raise KnownError(Reason.CORRUPT, "no packet of video or audio lasts any time")
    if tracks.duration_s > MOST_S:
        length = f"{tracks.duration_s:g} s"
        raise KnownError(Reason.TOO_LARGE, f"the file lasts {length}, {MOST_S} s (8 h) at most")
    return tracks


def _measure(container: "av.container.InputContainer") -> Probe:
    video, audio = choose_streams(container)
    chosen = [stream for stream in (video, audio) if stream is not None]
    ends = _ends(container, chosen)
    rate = None if video is None else video.average_rate or video.guessed_rate
    return Probe(
        None if video is None else Track(video.index, ends[video.index], _number(rate)),
        None
        if audio is None
        else Track(audio.index, ends[audio.index], _number(audio.rate), audio.channels),
    )


def _number(rate: Fraction | int | None) -> float | None:
    """Return a rate as a number; a file may give none, or 0."""
    return float(rate) if rate else None


def _ends(
    container: "av.container.InputContainer", streams: Sequence["av.stream.Stream"]
) -> dict[int, float]:
    """Return where each stream ends, in seconds after the start of the file.

    Counts the packets that can be read: a file that is cut off ends where it was cut. Where no
    packet says its time, as in raw H.264, they follow each other.
    """
    origin = (container.start_time or 0) / av.time_base
    ends: dict[int, float] = {}
    lengths = {stream.index: 0.0 for stream in streams}
    try:
        for packet in container.demux(streams):
            if packet.size == 0 or packet.time_base is None or packet.is_discard:
                continue  # a flush packet at the end, or one that an edit list hides
            duration = packet.duration or 0
            lengths[packet.stream_index] += float(duration * packet.time_base)
            if packet.pts is not None:
                end = float((packet.pts + duration) * packet.time_base)
                ends[packet.stream_index] = max(ends.get(packet.stream_index, origin), end)
    except av.error.FFmpegError as error:
        _log.info("%s: packets end early: %s", container.name, error)
    return {
        index: ends[index] - origin if index in ends else length
        for index, length in lengths.items()
    }
