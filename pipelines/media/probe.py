"""What is in a media file: its best picture and sound track and how long they really last.

Durations come from walking the packets (no decoding), so files without a duration in the header
are measured too. Tracks are chosen as `ffmpeg` does without `-map`: the picture with the most
pixels, the sound with the most channels, the first of equals; a cover picture is no picture.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import av
import av.error

from schemas import KnownError, Reason

_log = logging.getLogger(__name__)
_OPEN_AND_READ_TIMEOUT_S = 20.0
_MOST_PIXELS = 8192 * 8192
_MOST_HOURS = 8


@dataclass(frozen=True)
class Track:
    """One chosen track."""

    index: int
    """Number of the stream in the file."""
    end_s: float
    """Where its last packet ends, in seconds after the start of the file."""
    rate: float | None
    """Frames a second, or samples a second; None when the file does not say."""
    channels: int | None = None
    """Channels of a sound."""


@dataclass(frozen=True)
class Probe:
    """The tracks that decoding will use; None where the file has no such track."""

    picture: Track | None
    sound: Track | None

    @property
    def duration_s(self) -> float:
        """Where the longer track ends."""
        return max(track.end_s for track in (self.picture, self.sound) if track is not None)


def probe(path: Path) -> Probe:
    """Look into a media file.

    Raises `KnownError`: `corrupt` when it cannot be opened, `no_streams` when it holds neither
    picture nor sound, `too_large` above 8192 x 8192 pixels or 8 hours.
    """
    try:
        with av.open(str(path), timeout=_OPEN_AND_READ_TIMEOUT_S) as container:
            pictures = [s for s in container.streams.video if _is_picture(s)]
            sounds = [s for s in container.streams.audio if s.codec_context is not None]
            picture = max(pictures, key=lambda s: s.width * s.height, default=None)
            sound = max(sounds, key=lambda s: s.channels or 0, default=None)
            if picture is not None and picture.width * picture.height > _MOST_PIXELS:
                size = f"{picture.width} x {picture.height} pixels"
                raise KnownError(Reason.TOO_LARGE, f"the picture has {size}, 8192 x 8192 at most")
            ends = _ends(container, [s for s in (picture, sound) if s is not None])
            rate = picture and (picture.average_rate or picture.guessed_rate)
            found = Probe(
                picture=None
                if picture is None
                else Track(picture.index, ends[picture.index], float(rate) if rate else None),
                sound=None
                if sound is None
                else Track(sound.index, ends[sound.index], float(sound.rate), sound.channels),
            )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise KnownError(
            Reason.CORRUPT,
            f"the file cannot be opened: {getattr(error, 'strerror', None) or error}",
        ) from None
    if found.picture is None and found.sound is None:
        raise KnownError(Reason.NO_STREAMS, "the file holds neither picture nor sound")
    if found.duration_s > _MOST_HOURS * 3600:
        hours = found.duration_s / 3600
        raise KnownError(Reason.TOO_LARGE, f"the file lasts {hours:.1f} h, {_MOST_HOURS} h at most")
    return found


def _is_picture(stream: "av.VideoStream") -> bool:
    cover = stream.disposition & av.stream.Disposition.attached_pic
    return not cover and stream.codec_context is not None and stream.width > 0


def _ends(
    container: "av.container.InputContainer", streams: list["av.stream.Stream"]
) -> dict[int, float]:
    """End of each stream in seconds after the container's start, as far as packets can be read."""
    origin = (container.start_time or 0) / av.time_base
    ends = {stream.index: origin for stream in streams}
    try:
        for packet in container.demux(streams):
            if packet.pts is None or packet.time_base is None or packet.is_discard:
                continue  # the flush packet at the end, or one that an edit list hides
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            ends[packet.stream_index] = max(ends[packet.stream_index], end)
    except av.error.FFmpegError as error:
        _log.info("%s: packets end early: %s", container.name, error)  # what was read counts
    return {index: end - origin for index, end in ends.items()}
