"""The clip out of its source, exact to the frame and the sample, and the checks on what came out.

A source that is the clip already, in a form that the features job and every player read, goes
into the store as it is: the same bytes, nothing lost. It must be MP4 with H.264 and AAC or MP3 (or
one of them alone), no higher than the cap, and as long as the clip within 0.2 s, or shorter where
it is the clip by its name. Everything else is decoded from the nearest key frame before the clip,
cut, and encoded anew: H.264 at a constant quality, AAC at 256 kbit/s with the rate and channels of
the source.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from pipelines.jobs.download.fetch.messages import FetchedMedia, FetchRequest, MediaExtent
from pipelines.jobs.download.fetch.verify import MediaTracks, read_tracks
from pipelines.media.containers import READ_OPTIONS
from pipelines.media.ffmpeg import run_child
from schemas import KnownError, Reason
from schemas.ffmpeg import ffmpeg_binary

TOLERANCE_S = 0.2
"""A clip's length may differ from the request by so much; audio and video may drift so much."""
_CUT_SLACK_S = 1.0
"""A file that is the clip may be longer by so much, as cuts at key frames are; it loses its end."""
_LEAST_S = 0.5
_QUALITY = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p")
_AUDIO = ("-c:a", "aac", "-b:a", "256k")
_REMOTE = "http,https,tls,tcp,crypto,httpproxy"


_BYTES_PER_SECOND = 60_000
"""Size of a video of 360 lines with audio, where the site does not say it."""


@dataclass(frozen=True)
class ClipFile:
    """The finished clip."""

    path: Path
    tracks: MediaTracks
    start_s: float
    """Real start in the video, in seconds."""
    end_s: float
    """Real end."""
    shorter: bool
    """Whether the source ended before the clip should."""
    how: str
    """`as_is`, `cut` or `section`."""


@dataclass(frozen=True)
class CutWindow:
    """The clip's span in its source, in seconds."""

    start_s: float
    length_s: float


def cut_clip(request: FetchRequest, fetched: FetchedMedia, folder: Path) -> ClipFile:
    """The clip as a file, checked; `KnownError` when the source does not hold it."""
    if fetched.remote:
        assert fetched.duration_s is not None  # else it was not fetched by section
        window = find_window(request, fetched.duration_s, "video")
        path = _encode(request, fetched, window, None, folder)
        return _check(request, window, path, read_tracks(path), None, "section")
    sources = [read_tracks(Path(fetched.video))]
    if fetched.audio:
        sources.append(read_tracks(Path(fetched.audio)))
    whole = _merge_tracks(sources)
    window = find_window(request, whole.duration_s, request.extent)
    if len(sources) == 1 and _fits(request, whole, window):
        path = Path(fetched.video)
        return _check(request, window, path, whole, None, "as_is")
    path = _encode(request, fetched, window, whole, folder)
    return _check(request, window, path, read_tracks(path), whole, "cut")


def _merge_tracks(sources: list[MediaTracks]) -> MediaTracks:
    """Video and audio of one or two files as if they were one."""
    if len(sources) == 1:
        return sources[0]
    first, second = sources
    return MediaTracks(first.container, first.video or second.video, second.audio or first.audio)


def find_window(request: FetchRequest, duration_s: float, extent: MediaExtent) -> CutWindow:
    """Where in its source the clip lies.

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


def _fits(request: FetchRequest, tracks: MediaTracks, window: CutWindow) -> bool:
    """Whether the source is the clip already, by the rule at the head of this file."""
    video, audio, cap = tracks.video, tracks.audio, request.limits.height
    return (
        "mp4" in tracks.container.split(",")
        and (video is None or (video.codec == "h264"))
        and (video is None or not cap or (video.height or 0) <= cap)
        and (audio is None or audio.codec in ("aac", "mp3", "mp3float"))
        and window.start_s == 0.0
        and tracks.duration_s <= window.length_s + TOLERANCE_S
    )


def _encode(
    request: FetchRequest,
    fetched: FetchedMedia,
    window: CutWindow,
    whole: MediaTracks | None,
    folder: Path,
) -> Path:
    """One run of ffmpeg: seek, decode, cut, encode."""
    target, log = folder / "clip.mp4", folder / "ffmpeg.log"
    reading = _reading(request, fetched)
    words = [ffmpeg_binary(), "-nostdin", "-y", "-v", "error"]
    for source in (fetched.video, fetched.audio):
        if source is not None:
            address = source if fetched.remote else f"file:{Path(source).resolve()}"
            words += [*reading, "-ss", f"{window.start_s:.6f}", "-i", address]
    words += _streams(whole, two=fetched.audio is not None)
    words += ["-vf", _video_filter(request.limits.height)]
    words += ["-t", f"{window.length_s:.6f}", *_QUALITY, *_AUDIO, "-threads", "1", "-map_metadata"]
    words += ["-1", "-map_chapters", "-1", "-movflags", "+faststart", "-fflags", "+bitexact"]
    words += ["-fs", str(request.limits.max_bytes), "-f", "mp4", f"file:{target}"]
    status = run_child(words, timeout_s=request.limits.timeout_s, log=log)
    if status or not target.exists():
        said = log.read_text(errors="replace").strip().splitlines()
        detail = said[-1][:500] if said else f"ffmpeg ended with status {status}"
        reason = Reason.NETWORK if fetched.remote else Reason.CORRUPT
        raise KnownError(reason, f"the clip could not be cut: {detail}")
    return target


def _video_filter(height: int) -> str:
    """Within the cap, and with even sides, which H.264 needs."""
    even = "crop=trunc(iw/2)*2:trunc(ih/2)*2"
    return f"scale=-2:'min({height},ih)':flags=bicubic,{even}" if height else even


def _reading(request: FetchRequest, fetched: FetchedMedia) -> list[str]:
    """Options of an input: which containers and protocols it may use."""
    if not fetched.remote:
        return [word for name, value in READ_OPTIONS.items() for word in (f"-{name}", value)]
    words = ["-protocol_whitelist", _REMOTE]
    words += ["-format_whitelist", READ_OPTIONS["format_whitelist"]]
    words += ["-rw_timeout", "20000000"]
    plain = {name: value for name, value in fetched.headers.items() if (name + value).isprintable()}
    agent = plain.pop("User-Agent", None)
    if agent:
        words += ["-user_agent", agent]
    if plain:
        words += ["-headers", "".join(f"{name}: {value}\r\n" for name, value in plain.items())]
    if request.proxy:
        words += ["-http_proxy", request.proxy]
    return words


def _streams(whole: MediaTracks | None, *, two: bool) -> list[str]:
    """Which streams: the best of each kind; of two inputs the audio comes from the second."""
    if whole is None:
        return ["-map", "0:v:0?", "-map", "1:a:0?" if two else "0:a:0?"]
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
    tracks: MediaTracks,
    whole: MediaTracks | None,
    how: str,
) -> ClipFile:
    """Accept the clip, or say in what it differs from what was asked."""
    duration = tracks.duration_s
    if duration < _LEAST_S:
        raise KnownError(Reason.TOO_SHORT, f"{duration:.3f} s of audio or video, need 0.5 s")
    if abs(duration - window.length_s) > _tolerance(tracks):
        raise KnownError(
            Reason.CORRUPT,
            f"{window.length_s:.2f} s were to be cut and {duration:.2f} s came out; the source "
            "cannot be decoded there",
        )
    if whole is not None:
        _check_offset(window, tracks, whole)
    asked = request.length_s
    start = request.start_s
    return ClipFile(
        path, tracks, start, start + duration,
        shorter=not math.isinf(asked) and duration < asked - TOLERANCE_S, how=how,
    )  # fmt: skip


def _tolerance(tracks: MediaTracks) -> float:
    """0.2 s, or the distance of frames where that is more.

    The first frame of a slide show that begins in the clip may be shown late.
    """
    rate = tracks.video.fps if tracks.video is not None else None
    return max(TOLERANCE_S, 1.0 / rate) if rate else TOLERANCE_S


def _check_offset(window: CutWindow, tracks: MediaTracks, whole: MediaTracks) -> None:
    """Sound and video must begin as far apart as they do in the source."""
    if tracks.offset_s is None or whole.video is None or whole.audio is None:
        return
    audio, video = (max(one.start_s, window.start_s) for one in (whole.audio, whole.video))
    drift = tracks.offset_s - (audio - video)
    if abs(drift) > _tolerance(tracks):
        raise KnownError(
            Reason.CORRUPT, f"audio and video moved apart by {drift:.2f} s when the clip was cut"
        )


def by_section(
    length_s: float, duration_s: float | None, size: int | None, section_above: int
) -> bool:
    """Tell whether only a section of a video is fetched rather than all of it.

    A section is read through ffmpeg, which sites slow down, so it pays only when the whole video is
    large (above `section_above` bytes) and at least three times as long as the clip.

    >>> by_section(10.0, 60.0, None, 50_000_000), by_section(10.0, 3600.0, None, 50_000_000)
    (False, True)
    """
    if duration_s is None or math.isinf(length_s) or duration_s < 3 * length_s:
        return False
    return (size or duration_s * _BYTES_PER_SECOND) > section_above
