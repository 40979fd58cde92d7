"""The clip out of its source, exact to the frame and the sample, and the checks on the result.

A source that is the clip already, in a form that the features job and every player read, goes
into the store as it is: the same bytes, nothing lost. It must be MP4 with H.264 and AAC or MP3 (or
one of them alone), no higher than the limit, and as long as the clip within 0.2 s, or shorter where
it is the clip by its name. Everything else is decoded from the nearest key frame before the clip,
cut, and encoded anew: H.264 at a constant quality, AAC at 256 kbit/s with the rate and channels of
the source. Either way every frame of the clip must decode without damage.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from pipelines.jobs.download.fetch.messages import FetchedMedia, FetchRequest, MediaExtent
from pipelines.jobs.download.fetch.verify import MediaTracks, check_frames, read_tracks
from pipelines.media.containers import READ_OPTIONS
from pipelines.media.ffmpeg import run_child
from schemas import KnownError, Reason
from schemas.machine.ffmpeg import ffmpeg_binary

TOLERANCE_S = 0.2
"""How far a clip's length, and audio against video, may differ from what was asked, in seconds."""
_CUT_SLACK_S = 1.0
"""A file that is the clip may be this much longer, as cuts at key frames are; it loses its end."""
_LEAST_S = 0.5
_VIDEO_CODEC = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p")
_AUDIO_CODEC = ("-c:a", "aac", "-b:a", "256k")
_BYTES_PER_SECOND = 60_000
"""Of a video of 360 lines with audio, where the site does not say its size."""


@dataclass(frozen=True)
class FinishedClip:
    """The finished clip."""

    path: Path
    media: MediaTracks
    start_s: float
    """Real start in the video, in seconds."""
    end_s: float
    """Real end in the video, in seconds."""
    shorter: bool
    """Whether the source ended before the clip should."""
    how: str
    """`as_is`, `cut`, `section` or `fragments`."""


@dataclass(frozen=True)
class CutWindow:
    """The clip's span in its source, in seconds."""

    start_s: float
    length_s: float

    @property
    def end_s(self) -> float:
        """Return the end of the span in its source, in seconds."""
        return self.start_s + self.length_s


def cut_clip(request: FetchRequest, fetched: FetchedMedia, folder: Path) -> FinishedClip:
    """Make the clip's file and check it; `KnownError` when the source does not hold it."""
    files = [Path(name) for name in (fetched.video, fetched.audio) if name is not None]
    sources = [read_tracks(path, fetched.zero_s) for path in files]
    whole = _merge_tracks(sources)
    if fetched.zero_s is not None:
        assert fetched.duration_s is not None  # else it was not fetched by section
        window = find_window(request, fetched.duration_s, request.extent)
    else:
        window = find_window(request, whole.duration_s, request.extent)
    as_is = len(sources) == 1 and fetched.zero_s is None and _fits(request, whole, window)
    end_s = math.inf if as_is else window.end_s
    for path in files:
        check_frames(path, whole.duration_s, window.start_s, end_s, fetched.zero_s)
    if as_is:
        return _check(request, window, files[0], whole, whole, "as_is")
    path = _encode(request, files, fetched.zero_s, window, whole, folder)
    return _check(request, window, path, read_tracks(path), whole, fetched.how)


def _merge_tracks(sources: list[MediaTracks]) -> MediaTracks:
    """Return video and audio of one or two files as if they were one."""
    if len(sources) == 1:
        return sources[0]
    first, second = sources
    return MediaTracks(first.container, first.video or second.video, second.audio or first.audio)


def find_window(request: FetchRequest, duration_s: float, extent: MediaExtent) -> CutWindow:
    """Return where in its source the clip lies.

    A file that is the clip by its name may be up to 1 s longer; a file named by the video alone is
    the clip when it is about as long as one, else the whole video. Raises `KnownError`: `format`
    when a file cannot be the clip that its name says, `too_short` when the video ends too early.
    """
    length = request.length_s
    if math.isinf(length):
        return CutWindow(0.0, duration_s)
    long_for_a_clip = duration_s > length + _CUT_SLACK_S
    if extent == "clip" or (extent == "either" and not long_for_a_clip):
        if long_for_a_clip:
            raise KnownError(
                Reason.FORMAT,
                f"the file is {duration_s:.2f} s long and the clip {length:g} s, so it is not the "
                "clip that its name says",
            )
        if extent == "either" and request.shared_video and request.start_s > 0:
            raise KnownError(
                Reason.FORMAT,
                f"the file of this video is as long as one clip ({duration_s:.2f} s), but the "
                f"manifest has several clips of it; name the file {request.key}",
            )
        return CutWindow(0.0, min(length, duration_s))
    if duration_s - request.start_s < _LEAST_S:
        raise KnownError(
            Reason.TOO_SHORT,
            f"the video is {duration_s:.2f} s long, the clip starts at {request.start_s:g} s",
        )
    return CutWindow(request.start_s, min(length, duration_s - request.start_s))


def _fits(request: FetchRequest, media: MediaTracks, window: CutWindow) -> bool:
    """Tell whether the source is the clip already, by the rule at the head of this file."""
    video, audio, height = media.video, media.audio, request.limits.height
    return (
        "mp4" in media.container.split(",")
        and (video is None or video.codec == "h264")
        and (video is None or not height or (video.height or 0) <= height)
        and (audio is None or audio.codec in ("aac", "mp3", "mp3float"))
        and window.start_s == 0.0
        and media.duration_s <= window.length_s + TOLERANCE_S
    )


def _encode(
    request: FetchRequest,
    files: list[Path],
    zero_s: float | None,
    window: CutWindow,
    whole: MediaTracks,
    folder: Path,
) -> Path:
    """Run ffmpeg once: seek, decode, cut, encode."""
    target, log = folder / "clip.mp4", folder / "ffmpeg.log"
    reading = [word for name, value in READ_OPTIONS.items() for word in (f"-{name}", value)]
    if zero_s is not None:  # times as they stand in the file, not after its first packet
        reading += ["-seek_timestamp", "1"]
    words = [ffmpeg_binary(), "-nostdin", "-y", "-v", "error"]
    for path in files:
        start = f"{(zero_s or 0.0) + window.start_s:.6f}"
        words += [*reading, "-ss", start, "-i", f"file:{path.resolve()}"]
    words += _map_tracks(whole, two=len(files) == 2)
    words += ["-vf", _video_filter(request.limits.height)]
    words += ["-t", f"{window.length_s:.6f}", *_VIDEO_CODEC, *_AUDIO_CODEC, "-threads", "1"]
    words += ["-map_metadata", "-1", "-map_chapters", "-1", "-movflags", "+faststart"]
    words += ["-fflags", "+bitexact", "-fs", str(request.limits.max_bytes)]
    words += ["-f", "mp4", f"file:{target}"]
    status = run_child(words, timeout_s=request.limits.timeout_s, log=log)
    if status or not target.exists():
        said = log.read_text(errors="replace").strip().splitlines()
        detail = said[-1][:500] if said else f"ffmpeg ended with status {status}"
        raise KnownError(Reason.CORRUPT, f"the clip could not be cut: {detail}")
    return target


def _video_filter(height: int) -> str:
    """Return the filter that keeps the height limit and makes both sides even, as H.264 needs."""
    even = "crop=trunc(iw/2)*2:trunc(ih/2)*2"
    return f"scale=-2:'min({height},ih)':flags=bicubic,{even}" if height else even


def _map_tracks(whole: MediaTracks, *, two: bool) -> list[str]:
    """Return ffmpeg's words for the chosen tracks; of two inputs the audio is in the second."""
    words = []
    if whole.video is not None:
        words += ["-map", f"0:{whole.video.index}"]
    if whole.audio is not None:
        words += ["-map", f"{int(two)}:{whole.audio.index}"]
    return words


def _check(
    request: FetchRequest,
    window: CutWindow,
    path: Path,
    media: MediaTracks,
    whole: MediaTracks,
    how: str,
) -> FinishedClip:
    """Accept the clip, or say in what it differs from what was asked."""
    duration = media.duration_s
    if duration < _LEAST_S:
        raise KnownError(Reason.TOO_SHORT, f"{duration:.3f} s of audio or video, need 0.5 s")
    if abs(duration - window.length_s) > _tolerance(media):
        raise KnownError(
            Reason.CORRUPT,
            f"{window.length_s:.2f} s were to be cut and {duration:.2f} s came out; the source "
            "cannot be decoded there",
        )
    if how != "as_is":
        _check_offset(window, media, whole)
    asked = request.length_s
    start = request.start_s
    return FinishedClip(
        path, media, start, start + duration,
        shorter=not math.isinf(asked) and duration < asked - TOLERANCE_S, how=how,
    )  # fmt: skip


def _tolerance(media: MediaTracks) -> float:
    """Return 0.2 s, or the distance of frames where that is more.

    The first frame of a slide show that begins in the clip may be shown late.
    """
    rate = media.video.fps if media.video is not None else None
    return max(TOLERANCE_S, 1.0 / rate) if rate else TOLERANCE_S


def _check_offset(window: CutWindow, media: MediaTracks, whole: MediaTracks) -> None:
    """Raise `corrupt` unless audio and video begin as far apart as they do in the source."""
    if media.offset_s is None or whole.video is None or whole.audio is None:
        return
    audio, video = (max(track.start_s, window.start_s) for track in (whole.audio, whole.video))
    drift = media.offset_s - (audio - video)
    if abs(drift) > _tolerance(media):
        raise KnownError(
            Reason.CORRUPT, f"audio and video moved apart by {drift:.2f} s when the clip was cut"
        )


def by_section(
    length_s: float, duration_s: float | None, size: int | None, section_above: int
) -> bool:
    """Tell whether only a section of a video is fetched rather than all of it.

    Sites slow down who reads a file in parts, so it pays only when the whole video is large (above
    `section_above` bytes) and at least three times as long as the clip.

    >>> by_section(10.0, 60.0, None, 50_000_000), by_section(10.0, 3600.0, None, 50_000_000)
    (False, True)
    """
    if duration_s is None or math.isinf(length_s) or duration_s < 3 * length_s:
        return False
    return (size or duration_s * _BYTES_PER_SECOND) > section_above
