"""What a media file really holds, from its packets, before it is trusted.

The file is opened by the libraries behind ffprobe, and only as one of the plain containers: a
playlist or a script that calls itself `.mp4` would make them read other files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import av.error

from pipelines.media.containers import open_media
from schemas import KnownError, Reason

_OPEN_AND_READ_TIMEOUT_S = 30.0
_MOST_PIXELS = 8192 * 8192
_TRUNCATED_S = 0.5


@dataclass(frozen=True)
class Track:
    """One track: the codec, and where its packets begin and end, in seconds after the file's start.

    The file starts where the first packet of its chosen tracks does, as `ffmpeg -ss` counts.
    """

    index: int
    codec: str
    start_s: float
    end_s: float
    header_end_s: float | None
    """Where the header says that it ends."""
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    sample_rate: int | None = None
    channels: int | None = None


@dataclass(frozen=True)
class MediaTracks:
    """The best video and audio track of a file; None where it has none."""

    container: str
    video: Track | None
    audio: Track | None

    @property
    def streams(self) -> list[Track]:
        """The tracks there are."""
        return [one for one in (self.video, self.audio) if one is not None]

    @property
    def duration_s(self) -> float:
        """From the first packet to the end of the last."""
        return max(one.end_s for one in self.streams) - min(one.start_s for one in self.streams)

    @property
    def offset_s(self) -> float | None:
        """How much later the audio begins than the video; None without both."""
        if self.video is None or self.audio is None:
            return None
        return self.audio.start_s - self.video.start_s


def read_tracks(path: Path) -> MediaTracks:
    """Open a file and walk its packets.

    Raises `KnownError`: `corrupt` when it cannot be opened, is cut off or holds no packet,
    `no_streams` without video and audio, `too_large` above 8192 x 8192 pixels.
    """
    try:
        with open_media(path, _OPEN_AND_READ_TIMEOUT_S) as container:
            tracks = _walk(container)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise KnownError(
            Reason.CORRUPT,
            f"the file cannot be opened: {getattr(error, 'strerror', None) or error}",
        ) from None
    for one in tracks.streams:
        if one.header_end_s is not None and one.end_s < one.header_end_s - _TRUNCATED_S:
            raise KnownError(
                Reason.CORRUPT,
                f"the file is cut off: its header says {one.header_end_s:.2f} s, its packets end "
                f"at {one.end_s:.2f} s",
            )
    return tracks


def _walk(container: "av.container.InputContainer") -> MediaTracks:
    videos = [one for one in container.streams.video if _is_video(one)]
    audios = [one for one in container.streams.audio if one.codec_context is not None]
    video = max(videos, key=lambda one: one.width * one.height, default=None)
    audio = max(audios, key=lambda one: one.channels or 0, default=None)
    chosen = [one for one in (video, audio) if one is not None]
    if not chosen:
        raise KnownError(Reason.NO_STREAMS, "the file holds neither video nor audio")
    if video is not None and video.width * video.height > _MOST_PIXELS:
        raise KnownError(Reason.TOO_LARGE, f"the video has {video.width} x {video.height} pixels")
    spans = _spans(container, chosen)
    if not spans:
        raise KnownError(Reason.CORRUPT, "no packet of video or audio can be read")
    origin = min(start for start, _ in spans.values())
    found = {
        one.index: _stream(one, *spans[one.index], origin) for one in chosen if one.index in spans
    }
    return MediaTracks(
        container.format.name,
        found.get(video.index) if video is not None else None,
        found.get(audio.index) if audio is not None else None,
    )


def _is_video(stream: "av.VideoStream") -> bool:
    cover = stream.disposition & av.stream.Disposition.attached_pic
    return not cover and stream.codec_context is not None and stream.width > 0


def _spans(
    container: "av.container.InputContainer", streams: Sequence["av.stream.Stream"]
) -> dict[int, tuple[float, float]]:
    """Start and end of each stream's packets, as far as they can be read."""
    spans: dict[int, tuple[float, float]] = {}
    try:
        for packet in container.demux(streams):
            if packet.pts is None or packet.time_base is None or packet.is_discard:
                continue
            start = float(packet.pts * packet.time_base)
            end = start + float((packet.duration or 0) * packet.time_base)
            first, last = spans.get(packet.stream_index, (start, end))
            spans[packet.stream_index] = min(first, start), max(last, end)
    except av.error.FFmpegError:
        pass  # what was read counts; a file that is cut off shows by its header
    return spans


def _stream(
    stream: "av.VideoStream | av.AudioStream", start_s: float, end_s: float, origin: float
) -> Track:
    header = None
    if stream.duration is not None and stream.time_base is not None:
        header = float(((stream.start_time or 0) + stream.duration) * stream.time_base) - origin
    video = stream if isinstance(stream, av.VideoStream) else None
    audio = stream if isinstance(stream, av.AudioStream) else None
    rate = video and (video.average_rate or video.guessed_rate)
    return Track(
        index=stream.index,
        codec=stream.codec_context.name,
        start_s=start_s - origin,
        end_s=end_s - origin,
        header_end_s=header,
        width=video.width if video else None,
        height=video.height if video else None,
        fps=float(rate) if rate else None,
        sample_rate=audio.rate if audio else None,
        channels=audio.channels if audio else None,
    )
