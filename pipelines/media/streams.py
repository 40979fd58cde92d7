"""Which streams of an opened file are its video and its audio, the same for every job."""

import av

from schemas import KnownError, Reason

_MOST_PIXELS = 8192 * 8192


def choose_streams(
    container: "av.container.InputContainer",
) -> tuple[av.VideoStream | None, av.AudioStream | None]:
    """Return the video with most pixels and the audio with most channels, the first of equals.

    That is how `ffmpeg` chooses without `-map`; a cover picture is no video. Raises `KnownError`:
    `no_streams` when there is neither, `too_large` above 8192 x 8192 pixels.
    """
    videos = [stream for stream in container.streams.video if _is_video(stream)]
    audios = [stream for stream in container.streams.audio if stream.codec_context is not None]
    video = max(videos, key=lambda stream: stream.width * stream.height, default=None)
    audio = max(audios, key=lambda stream: stream.channels or 0, default=None)
    if video is None and audio is None:
        raise KnownError(Reason.NO_STREAMS, "the file holds neither video nor audio")
    if video is not None and video.width * video.height > _MOST_PIXELS:
        size = f"{video.width} x {video.height} pixels"
        raise KnownError(Reason.TOO_LARGE, f"the video has {size}, 8192 x 8192 at most")
    return video, audio


def _is_video(stream: av.VideoStream) -> bool:
    """Tell video from a cover picture and from a track of a size that the file does not say."""
    cover = stream.disposition & av.stream.Disposition.attached_pic
    return not cover and stream.codec_context is not None and stream.width > 0
