"""What a media file really holds, before it is trusted: its tracks by their packets, its frames.

The file is opened by the libraries behind ffprobe, and only as one of the plain containers: a
playlist or a script that calls itself `.mp4` would make them read other files.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import av.error

from pipelines.media.containers import open_media, refusal
from pipelines.media.streams import choose_streams
from schemas import KnownError, Reason

_OPEN_AND_READ_TIMEOUT_S = 30.0
_TRUNCATED_S = 0.5
_DECODED_WHOLE_S = 600.0
"""Of longer files every audio frame is decoded, and every key frame."""

_REORDERED_S = 1.0
"""Frames that are shown before a point may be stored for so long after it."""

AvStream = av.VideoStream | av.AudioStream


@dataclass(frozen=True)
class Track:
    """One track: codec, and where its packets begin and end, in seconds after the file's start.

    The file starts where the first packet of its chosen tracks does, as `ffmpeg -ss` counts.
    """

    index: int
    codec: str
    start_s: float
    end_s: float
    header_end_s: float | None
    """Where it ends by the header."""
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
    def tracks(self) -> list[Track]:
        """Return the tracks that the file has."""
        return [track for track in (self.video, self.audio) if track is not None]

    @property
    def duration_s(self) -> float:
        """Return the seconds from the first packet to the end of the last."""
        return max(track.end_s for track in self.tracks) - min(
            track.start_s for track in self.tracks
        )

    @property
    def offset_s(self) -> float | None:
        """Return how much later the audio begins than the video, in seconds; None without both."""
        if self.video is None or self.audio is None:
            return None
        return self.audio.start_s - self.video.start_s


def read_tracks(path: Path, zero_s: float | None = None) -> MediaTracks:
    """Open a file and walk its packets; times count from `zero_s`, by default the file's start.

    Raises `KnownError`: `corrupt` when it cannot be opened, is cut off or holds no packet, `format`
    or `unsafe_input` when its container is none of those that may be opened, `no_streams` without
    video and audio, `too_large` above 8192 x 8192 pixels.
    """
    try:
        with open_media(path, _OPEN_AND_READ_TIMEOUT_S) as container:
            media = _walk(container, zero_s)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        detail = f"the file cannot be opened: {getattr(error, 'strerror', None) or error}"
        raise refusal(error) or KnownError(Reason.CORRUPT, detail) from None
    for track in media.tracks:
        if track.header_end_s is not None and track.end_s < track.header_end_s - _TRUNCATED_S:
            raise KnownError(
                Reason.CORRUPT,
                f"the file is cut off: its header says {track.header_end_s:.2f} s, its packets end "
                f"at {track.end_s:.2f} s",
            )
    return media


def _walk(container: "av.container.InputContainer", zero_s: float | None) -> MediaTracks:
    video, audio = choose_streams(container)
    spans = _spans(container, [stream for stream in (video, audio) if stream is not None])
    if not spans:
        raise KnownError(Reason.CORRUPT, "no packet of video or audio can be read")
    zero = min(start for start, _ in spans.values()) if zero_s is None else zero_s

    def track(stream: AvStream | None) -> Track | None:
        if stream is None or stream.index not in spans:
            return None
        return _track(stream, *spans[stream.index], zero)

    return MediaTracks(container.format.name, track(video), track(audio))


def _spans(
    container: "av.container.InputContainer", streams: Sequence[AvStream]
) -> dict[int, tuple[float, float]]:
    """Return start and end of each stream's packets in seconds, as far as they can be read."""
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


def _track(stream: AvStream, start_s: float, end_s: float, zero_s: float) -> Track:
    header = None
    if stream.duration is not None and stream.time_base is not None:
        header = float(((stream.start_time or 0) + stream.duration) * stream.time_base) - zero_s
    video = stream if isinstance(stream, av.VideoStream) else None
    audio = stream if isinstance(stream, av.AudioStream) else None
    rate = video and (video.average_rate or video.guessed_rate)
    return Track(
        index=stream.index,
        codec=stream.codec_context.name,
        start_s=start_s - zero_s,
        end_s=end_s - zero_s,
        header_end_s=header,
        width=video.width if video else None,
        height=video.height if video else None,
        fps=float(rate) if rate else None,
        sample_rate=audio.rate if audio else None,
        channels=audio.channels if audio else None,
    )


def check_frames(
    path: Path, duration_s: float, start_s: float, end_s: float, zero_s: float | None = None
) -> None:
    """Decode the best tracks of a file from the key frame before `start_s` to `end_s`.

    Seconds count from `zero_s`, by default the file's start.

    Raises `KnownError` `corrupt` when a frame is damaged, or cannot be decoded after its track's
    first key frame: what stands before that (in clips that were cut between two) never can.
    """
    long = min(end_s, duration_s) - start_s > _DECODED_WHOLE_S
    try:
        with open_media(path, _OPEN_AND_READ_TIMEOUT_S) as container:
            streams = [stream for stream in choose_streams(container) if stream is not None]
            zero = float(container.start_time or 0) / av.time_base if zero_s is None else zero_s
            for stream in streams:
                if long and isinstance(stream, av.VideoStream):
                    stream.codec_context.skip_frame = "NONKEY"
            if start_s > 0:
                with suppress(av.error.FFmpegError):  # some files are read from their start only
                    container.seek(int((zero + start_s) * av.time_base))
            _decode(container, streams, zero + end_s)
    except av.error.FFmpegError as error:
        raise KnownError(
            Reason.CORRUPT, f"the file cannot be decoded: {error.strerror or error}"
        ) from None


def _decode(
    container: "av.container.InputContainer", streams: Sequence[AvStream], end_s: float
) -> None:
    """Decode packets up to `end_s`, in the file's own seconds."""
    begun: set[int] = set()
    unfinished = {stream.index for stream in streams}
    for packet in container.demux(streams):
        index, time_base = packet.stream_index, packet.time_base
        if packet.pts is not None and time_base is not None:
            if float(packet.pts * time_base) > end_s + _REORDERED_S:
                unfinished.discard(index)
                if not unfinished:
                    return
                continue
            if packet.is_keyframe:
                begun.add(index)
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            if index in begun:
                raise
            continue
        for frame in frames:
            assert isinstance(frame, av.VideoFrame | av.AudioFrame)
            if frame.is_corrupt:
                raise KnownError(
                    Reason.CORRUPT,
                    f"the {packet.stream.type} is damaged {frame.time or 0.0:.2f} s into the file",
                )
