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

from pipelines.jobs.download.fetch.messages import Fetched, Part, Request
from pipelines.jobs.download.fetch.verify import Inside, look_inside
from pipelines.media.containers import READ_OPTIONS
from pipelines.media.ffmpeg import run_child
from schemas import KnownError, Reason
from schemas.ffmpeg import ffmpeg_binary

TOLERANCE_S = 0.2
"""A clip's length may differ from the request by so much; sound and picture may drift so much."""
_CUT_SLACK_S = 1.0
"""A file that is the clip may be longer by so much, as cuts at key frames are; it loses its end."""
_LEAST_S = 0.5
_QUALITY = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p")
_SOUND = ("-c:a", "aac", "-b:a", "256k")
_REMOTE = "http,https,tls,tcp,crypto,httpproxy"


@dataclass(frozen=True)
class Cut:
    """The finished clip."""

    path: Path
    inside: Inside
    start_s: float
    """Real start in the video, in seconds."""
    end_s: float
    """Real end."""
    shorter: bool
    """Whether the source ended before the clip should."""
    how: str
    """`as_is`, `cut` or `section`."""


@dataclass(frozen=True)
class Window:
    """The clip's span in its source, in seconds."""

    start_s: float
    length_s: float


def cut(request: Request, fetched: Fetched, work: Path) -> Cut:
    """The clip as a file, checked; `KnownError` when the source does not hold it."""
    if fetched.remote:
        assert fetched.duration_s is not None  # else it was not fetched by section
        window = find_window(request, fetched.duration_s, "video")
        path = _encode(request, fetched, window, None, work)
        return _check(request, window, path, look_inside(path), None, "section")
    sources = [look_inside(Path(fetched.picture))]
    if fetched.sound:
        sources.append(look_inside(Path(fetched.sound)))
    whole = _together(sources)
    window = find_window(request, whole.duration_s, request.part)
    if len(sources) == 1 and _fits(request, whole, window):
        path = Path(fetched.picture)
        return _check(request, window, path, whole, None, "as_is")
    path = _encode(request, fetched, window, whole, work)
    return _check(request, window, path, look_inside(path), whole, "cut")


def _together(sources: list[Inside]) -> Inside:
    """Picture and sound of one or two files as if they were one."""
    if len(sources) == 1:
        return sources[0]
    first, second = sources
    return Inside(first.container, first.picture or second.picture, second.sound or first.sound)


def find_window(request: Request, duration_s: float, part: Part) -> Window:
    """Where in its source the clip lies.

    A file that is the clip by its name may be up to 1 s longer; a file named by the video alone is
    the clip when it is about as long as one, else the whole video. Raises `KnownError`: `format`
    when a file cannot be the clip that its name says, `too_short` when the video ends too early.
    """
    length = request.length_s
    if math.isinf(length):
        return Window(0.0, duration_s)
    long_for_a_clip = duration_s > length + _CUT_SLACK_S
    if part == "clip" or (part == "either" and not long_for_a_clip):
        if long_for_a_clip:
            raise KnownError(
                Reason.FORMAT,
                f"the file is {duration_s:.2f} s long and the clip {length:g} s, so it is not the "
                "clip that its name says",
            )
        if part == "either" and request.shared_video and request.start_s > 0:
            raise KnownError(
                Reason.FORMAT,
                f"the file of this video is as long as one clip ({duration_s:.2f} s), but the "
                f"manifest has several clips of it; name the file {request.key}",
            )
        return Window(0.0, min(length, duration_s))
    if duration_s - request.start_s < _LEAST_S:
        raise KnownError(
            Reason.TOO_SHORT,
            f"the video is {duration_s:.2f} s long, the clip starts at {request.start_s:g} s",
        )
    return Window(request.start_s, min(length, duration_s - request.start_s))


def _fits(request: Request, inside: Inside, window: Window) -> bool:
    """Whether the source is the clip already, by the rule at the head of this file."""
    picture, sound, cap = inside.picture, inside.sound, request.limits.height
    return (
        "mp4" in inside.container.split(",")
        and (picture is None or (picture.codec == "h264"))
        and (picture is None or not cap or (picture.height or 0) <= cap)
        and (sound is None or sound.codec in ("aac", "mp3", "mp3float"))
        and window.start_s == 0.0
        and inside.duration_s <= window.length_s + TOLERANCE_S
    )


def _encode(
    request: Request, fetched: Fetched, window: Window, whole: Inside | None, work: Path
) -> Path:
    """One run of ffmpeg: seek, decode, cut, encode."""
    target, log = work / "clip.mp4", work / "ffmpeg.log"
    reading = _reading(request, fetched)
    words = [ffmpeg_binary(), "-nostdin", "-y", "-v", "error"]
    for source in (fetched.picture, fetched.sound):
        if source is not None:
            address = source if fetched.remote else f"file:{Path(source).resolve()}"
            words += [*reading, "-ss", f"{window.start_s:.6f}", "-i", address]
    words += _streams(whole, two=fetched.sound is not None)
    words += ["-vf", _picture_filter(request.limits.height)]
    words += ["-t", f"{window.length_s:.6f}", *_QUALITY, *_SOUND, "-threads", "1", "-map_metadata"]
    words += ["-1", "-map_chapters", "-1", "-movflags", "+faststart", "-fflags", "+bitexact"]
    words += ["-fs", str(request.limits.max_bytes), "-f", "mp4", f"file:{target}"]
    status = run_child(words, timeout_s=request.limits.timeout_s, log=log)
    if status or not target.exists():
        said = log.read_text(errors="replace").strip().splitlines()
        detail = said[-1][:500] if said else f"ffmpeg ended with status {status}"
        reason = Reason.NETWORK if fetched.remote else Reason.CORRUPT
        raise KnownError(reason, f"the clip could not be cut: {detail}")
    return target


def _picture_filter(height: int) -> str:
    """Within the cap, and with even sides, which H.264 needs."""
    even = "crop=trunc(iw/2)*2:trunc(ih/2)*2"
    return f"scale=-2:'min({height},ih)':flags=bicubic,{even}" if height else even


def _reading(request: Request, fetched: Fetched) -> list[str]:
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


def _streams(whole: Inside | None, *, two: bool) -> list[str]:
    """Which streams: the best of each kind; of two inputs the sound comes from the second."""
    if whole is None:
        return ["-map", "0:v:0?", "-map", "1:a:0?" if two else "0:a:0?"]
    words = []
    if whole.picture is not None:
        words += ["-map", f"0:{whole.picture.index}"]
    if whole.sound is not None:
        words += ["-map", f"{int(two)}:{whole.sound.index}"]
    return words


def _check(
    request: Request, window: Window, path: Path, inside: Inside, whole: Inside | None, how: str
) -> Cut:
    """Accept the clip, or say in what it differs from what was asked."""
    duration = inside.duration_s
    if duration < _LEAST_S:
        raise KnownError(Reason.TOO_SHORT, f"{duration:.3f} s of sound or picture, need 0.5 s")
    if abs(duration - window.length_s) > _tolerance(inside):
        raise KnownError(
            Reason.CORRUPT,
            f"{window.length_s:.2f} s were to be cut and {duration:.2f} s came out; the source "
            "cannot be decoded there",
        )
    if whole is not None:
        _check_offset(window, inside, whole)
    asked = request.length_s
    start = request.start_s
    return Cut(
        path, inside, start, start + duration,
        shorter=not math.isinf(asked) and duration < asked - TOLERANCE_S, how=how,
    )  # fmt: skip


def _tolerance(inside: Inside) -> float:
    """0.2 s, or the distance of frames where that is more.

    The first frame of a slide show that begins in the clip may be shown late.
    """
    rate = inside.picture.fps if inside.picture is not None else None
    return max(TOLERANCE_S, 1.0 / rate) if rate else TOLERANCE_S


def _check_offset(window: Window, inside: Inside, whole: Inside) -> None:
    """Sound and picture must begin as far apart as they do in the source."""
    if inside.offset_s is None or whole.picture is None or whole.sound is None:
        return
    sound, picture = (max(one.start_s, window.start_s) for one in (whole.sound, whole.picture))
    drift = inside.offset_s - (sound - picture)
    if abs(drift) > _tolerance(inside):
        raise KnownError(
            Reason.CORRUPT, f"sound and picture moved apart by {drift:.2f} s when the clip was cut"
        )
