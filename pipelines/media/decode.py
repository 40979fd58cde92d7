"""One decode of one clip: frames and sound on the (clip, second) grid, by one run of ffmpeg.

Recipe `llp-eccv20` follows the LLP authors: `ffmpeg -r 8` to JPEG at ffmpeg's default quality, then
round(linspace(0, n-1, 8 T)) over the n frames that exist; sound as 16-bit mono at 16 kHz. Recipe
`clean` takes the frame that is shown at the middle of each eighth of a second, without JPEG.

The JPEG encoder runs on one thread whatever the machine has: ffmpeg's rate control depends on the
number of encoder threads (the same 82 frames take 0.40 MB on one thread, 0.55 MB on two and
1.11 MB on sixteen), so features would otherwise depend on the number of cores.
"""

import errno
import math
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from pipelines.media.ffmpeg import run_child
from pipelines.media.frames import ImageFile, PickedFrames
from pipelines.media.probe import Probe
from pipelines.media.timestamps import frames_at
from schemas import SAMPLE_RATE, Clip, ClipMedia, KnownError, Reason, Recipe
from schemas.ffmpeg import ffmpeg_binary

_FULL = "No space left on device"
FRAMES, SOUND, LOG = "frames.images", "sound.pcm", "ffmpeg.log"
"""Temporary files of one decode."""
_CUT_SLACK_S = 1.0
"""A file named by its video alone counts as the whole video when it outlasts its clip by this."""


@dataclass(frozen=True)
class Window:
    """The part of a file that is the clip."""

    start_s: float
    length_s: float


def find_window(clip: Clip, probe: Probe, *, cut: bool) -> Window:
    """Where in the file the clip lies.

    `cut` says that the file's name carries start and end, so that the file is the clip. A file
    named by the video alone is the clip too when it is about as long as the clip (within 1 s),
    else the whole video, out of which the clip is cut. Raises `KnownError` `too_short` when the
    video ends before the clip begins.
    """
    if math.isinf(clip.end_s):
        return Window(0.0, probe.duration_s)
    length = clip.end_s - clip.start_s
    if cut or probe.duration_s <= length + _CUT_SLACK_S:
        return Window(0.0, length + _CUT_SLACK_S)  # all of it: cuts are rarely exact
    if clip.start_s >= probe.duration_s:
        raise KnownError(
            Reason.TOO_SHORT,
            f"the video is {probe.duration_s:.2f} s long, the clip starts at {clip.start_s:g} s",
        )
    return Window(clip.start_s, length)


def decode(
    path: Path,
    clip: Clip,
    probe: Probe,
    window: Window,
    recipe: Recipe,
    work: Path,
    timeout_s: float,
) -> ClipMedia:
    """Decode the window of a file; temporary files lie in `work` and must outlive the result.

    Raises `KnownError`: `timeout`, `corrupt` (tracks that give no frame and no sample), or
    `too_short` (less than half a second of either).
    """
    _run_ffmpeg(path, probe, window, recipe, work, timeout_s)
    samples = _read_sound(work / SOUND)
    sound_s = 0.0 if samples is None else len(samples) / SAMPLE_RATE
    picture_s = _picture_seconds(probe, window, recipe, work)
    if not sound_s and not picture_s:
        raise KnownError(Reason.CORRUPT, f"no frame and no sound could be decoded: {_said(work)}")
    n_snippets = clip.n_snippets or _seconds(max(sound_s, picture_s))
    heard = min(_seconds(sound_s), n_snippets)
    seen = min(_seconds(picture_s), n_snippets)
    if heard == 0 and seen == 0:
        raise KnownError(
            Reason.TOO_SHORT, f"{max(sound_s, picture_s):.3f} s of sound or picture, need 0.5 s"
        )
    frames: PickedFrames | None = None
    if seen:
        try:
            frames = _frames(path, probe, window, recipe, work, seen, n_snippets, timeout_s)
        except KnownError as error:
            if error.reason is not Reason.CORRUPT or not heard:
                raise
            seen = 0  # the sound is good: a clip without picture
    return ClipMedia(
        clip_key=clip.key,
        n_snippets=n_snippets,
        sound=_on_grid(samples, n_snippets) if samples is not None and heard else None,
        frames=frames,
        sound_valid=np.arange(n_snippets) < heard,
        frames_valid=np.arange(n_snippets) < seen,
        per_snippet=recipe.frames_per_second,
    )


def _seconds(length_s: float) -> int:
    """Whole seconds on the grid: a second counts when at least half of it is there."""
    return math.floor(length_s + 0.5)


def _run_ffmpeg(
    path: Path, probe: Probe, window: Window, recipe: Recipe, work: Path, timeout_s: float
) -> None:
    """Both tracks in one run; when that fails, each by itself, so that one broken track is one."""
    both = (probe.video if recipe.sampler == "ffmpeg-r" else None, probe.audio)
    attempts = [both, (both[0], None), (None, both[1])] if all(both) else [both]
    for picture, sound in attempts:
        source = ffmpeg.input(
            f"file:{path.resolve()}",
            ss=window.start_s,
            t=window.length_s,
            protocol_whitelist="file",
        )
        outputs = []
        if picture is not None:
            outputs.append(
                ffmpeg.output(
                    source[str(picture.index)], str(work / FRAMES), format="mjpeg",
                    r=recipe.frames_per_second, threads=1,
                )
            )  # fmt: skip
        if sound is not None:
            outputs.append(
                ffmpeg.output(
                    source[str(sound.index)], str(work / SOUND), format="s16le", ac=1,
                    ar=recipe.sample_rate, af="aresample=async=1:first_pts=0",
                )
            )  # fmt: skip
        if not outputs:
            return
        graph = ffmpeg.merge_outputs(*outputs).global_args("-nostdin", "-y", "-v", "error")
        command = graph.compile(cmd=ffmpeg_binary())
        status = run_child(command, timeout_s=timeout_s, log=work / LOG)
        if status and _FULL in (work / LOG).read_text(errors="replace"):
            raise OSError(errno.ENOSPC, _FULL, str(work))
        if status == 0 and (picture, sound) == both:
            return


def _said(work: Path) -> str:
    """The last line that ffmpeg wrote, for the failure's detail."""
    log = work / LOG
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:300] if lines else "ffmpeg gave no message"


def _read_sound(path: Path) -> NDArray[np.int16] | None:
    if not path.exists() or path.stat().st_size < 2:
        return None
    return np.memmap(path, dtype="<i2", mode="r")


def _on_grid(samples: NDArray[np.int16], n_snippets: int) -> NDArray[np.float32]:
    """Sound as float32 in -1..1, cut or zero-padded to whole seconds."""
    grid = np.zeros(n_snippets * SAMPLE_RATE, dtype=np.float32)
    n = min(len(samples), len(grid))
    np.divide(samples[:n], 32768.0, out=grid[:n], casting="unsafe")
    return grid


def _picture_seconds(probe: Probe, window: Window, recipe: Recipe, work: Path) -> float:
    """How much picture the window holds; none when no frame could be decoded."""
    if probe.video is None:
        return 0.0
    length = min(probe.video.end_s - window.start_s, window.length_s)
    if recipe.sampler == "timestamp":
        return length
    path = work / FRAMES
    n_frames = len(ImageFile(path)) if path.exists() and path.stat().st_size else 0
    return min(length, n_frames / recipe.frames_per_second)


def _frames(
    path: Path,
    probe: Probe,
    window: Window,
    recipe: Recipe,
    work: Path,
    seen: int,
    n_snippets: int,
    timeout_s: float,
) -> PickedFrames:
    """The frames that the recipe picks; absent seconds repeat the last one."""
    n = seen * recipe.frames_per_second
    if recipe.sampler == "ffmpeg-r":
        file = ImageFile(work / FRAMES)
        picked = np.round(np.linspace(0, len(file) - 1, n)).astype(int).tolist()
    else:
        assert probe.video is not None
        moments = window.start_s + (np.arange(n) + 0.5) / recipe.frames_per_second
        file, picked = frames_at(path, probe.video.index, moments, work / FRAMES, timeout_s)
    absent = (n_snippets - seen) * recipe.frames_per_second
    return PickedFrames(file, picked + picked[-1:] * absent)
