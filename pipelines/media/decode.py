"""One decode of one clip: frames and waveform on the (clip, second) grid, by one run of ffmpeg.

Recipe `llp-eccv20` follows the LLP authors: `ffmpeg -r 8` to JPEG at ffmpeg's default quality, then
round(linspace(0, n-1, 8 T)) over the n frames that exist; audio as 16-bit mono at 16 kHz. Recipe
`clean` takes the frame that is shown at the middle of each eighth of a second, without JPEG.

The JPEG encoder runs on one thread whatever the machine has: ffmpeg's rate control depends on the
number of encoder threads (the same 82 frames take 0.40 MB on one thread, 0.55 MB on two and
1.11 MB on sixteen), so features would otherwise depend on the number of cores.
"""

import errno
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from pipelines.media.containers import READ_OPTIONS
from pipelines.media.ffmpeg import MOST_MEMORY, plain_number, run_child
from pipelines.media.frames import ImageFile, PickedFrames
from pipelines.media.probe import MOST_S, Probe, Track
from pipelines.media.reader import MediaReader
from pipelines.media.scratch_room import LITTLE_ROOM, ScratchRoom
from schemas import SAMPLE_RATE, Clip, ClipMedia, KnownError, Reason, Recipe
from schemas.machine.ffmpeg import ffmpeg_binary

_FULL = "No space left on device"
_NO_MEMORY = "Cannot allocate memory"
FRAMES, AUDIO, LOG = "frames.images", "audio.pcm", "ffmpeg.log"
"""Temporary files of one decode."""
_SOURCE = "<source>"
"""Stands for the media file, whose name need not be UTF-8, as ffmpeg-python wants it to be."""
_CUT_SLACK_S = 1.0
"""A file named by its video alone counts as the whole video when it outlasts its clip by this."""


@dataclass(frozen=True)
class Window:
    """The part of a file that is the clip."""

    start_s: float
    length_s: float


@dataclass(frozen=True)
class ClipFile:
    """A clip, the file that holds it, and where in that file it lies."""

    clip: Clip
    path: Path
    probe: Probe
    window: Window


def find_window(clip: Clip, probe: Probe, *, cut: bool) -> Window:
    """Find where in the file the clip lies.

    `cut` says that the file's name carries start and end, so that the file is the clip. A file
    named by the video alone is the clip too when it is about as long as the clip (within 1 s),
    else the whole video, out of which the clip is cut. Raises `KnownError`: `too_short` when the
    video ends before the clip begins, `too_large` when the clip spans more than 8 hours.
    """
    if math.isinf(clip.end_s):
        return Window(0.0, probe.duration_s)
    length = clip.end_s - clip.start_s
    if length > MOST_S:
        raise KnownError(Reason.TOO_LARGE, f"the clip spans {length:g} s, {MOST_S} s (8 h) at most")
    if cut or probe.duration_s <= length + _CUT_SLACK_S:
        return Window(0.0, length + _CUT_SLACK_S)  # all of it: cuts are rarely exact
    if clip.start_s >= probe.duration_s:
        raise KnownError(
            Reason.TOO_SHORT,
            f"the video is {probe.duration_s:.2f} s long, the clip starts at {clip.start_s:g} s",
        )
    return Window(clip.start_s, length)


@dataclass(frozen=True)
class ClipDecoder:
    """Decodes clips as a recipe asks."""

    recipe: Recipe
    reader: MediaReader
    timeout_s: float = 50.0
    """Time limit of one decode of a clip of up to that length, in seconds."""
    room_share: float = 0.5
    """Share of the free room for temporary files that frames, or samples, of one clip may take."""
    little_room: int = LITTLE_ROOM

    def decode(self, file: ClipFile, folder: Path) -> ClipMedia:
        """Decode a clip; temporary files lie in `folder` and must outlive the result.

        Raises `KnownError`: `timeout`, `corrupt` (no frame and no sample), `too_short`
        (less than half a second of either), `too_large` (temporary files fill the disk).
        """
        self._run_ffmpeg(file, folder)
        samples = _read_samples(folder / AUDIO)
        audio_s = 0.0 if samples is None else len(samples) / SAMPLE_RATE
        video_s = self._video_seconds(file, folder)
        longer_s = max(audio_s, video_s)
        if not longer_s:
            raise _undecodable(_messages(folder, file.path))
        n_snippets = file.clip.n_snippets or _whole_seconds(longer_s)
        n_audio = min(_whole_seconds(audio_s), n_snippets)
        n_video = min(_whole_seconds(video_s), n_snippets)
        if n_audio == n_video == 0:
            raise KnownError(Reason.TOO_SHORT, f"{longer_s:.3f} s of audio or video, need 0.5 s")
        frames = None
        if n_video:
            frames = self._frames_or_none(file, folder, n_video, n_snippets, needed=not n_audio)
        return ClipMedia(
            clip_key=file.clip.key,
            n_snippets=n_snippets,
            waveform=_on_grid(samples, n_snippets) if samples is not None and n_audio else None,
            frames=frames,
            audio_valid=np.arange(n_snippets) < n_audio,
            frames_valid=np.arange(n_snippets) < (n_video if frames is not None else 0),
            per_snippet=self.recipe.frames_per_second,
        )

    def _run_ffmpeg(self, file: ClipFile, folder: Path) -> None:
        """Decode both tracks in one run; when that fails, each by itself: one may be broken."""
        video = file.probe.video if self.recipe.sampler == "ffmpeg-r" else None
        both = (video, file.probe.audio)
        ends = time.monotonic() + self._limit_s(file)
        room = ScratchRoom.of(folder, self.room_share, self.little_room)
        for tracks in [both, (both[0], None), (None, both[1])] if all(both) else [both]:
            if not any(tracks):
                return
            status = run_child(
                self._command(file, tracks, folder, room.most_bytes),
                timeout_s=max(1.0, ends - time.monotonic()),
                log=folder / LOG,
                most_memory=MOST_MEMORY,
            )
            if status and _FULL in _messages(folder, file.path):
                raise OSError(errno.ENOSPC, _FULL, str(folder))
            for path in (folder / FRAMES, folder / AUDIO):
                room.check(path.stat().st_size if path.exists() else 0)
            if status == 0 and tracks == both:
                return

    def _command(
        self,
        file: ClipFile,
        tracks: tuple[Track | None, Track | None],
        folder: Path,
        most_bytes: int,
    ) -> list[str]:
        """Return the command line that decodes the given video and audio track of the window."""
        source = ffmpeg.input(
            _SOURCE,
            ss=plain_number(file.window.start_s),
            t=plain_number(file.window.length_s),
            **READ_OPTIONS,
        )
        video, audio = tracks
        outputs = []
        if video is not None:
            outputs.append(
                ffmpeg.output(
                    source[str(video.index)], str(folder / FRAMES), format="mjpeg",
                    r=self.recipe.frames_per_second, threads=1, fs=most_bytes,
                )
            )  # fmt: skip
        if audio is not None:
            outputs.append(
                ffmpeg.output(
                    source[str(audio.index)], str(folder / AUDIO), format="s16le", ac=1,
                    ar=self.recipe.sample_rate, af="aresample=async=1:first_pts=0", fs=most_bytes,
                )
            )  # fmt: skip
        graph = ffmpeg.merge_outputs(*outputs).global_args("-nostdin", "-y", "-v", "error")
        source_file = f"file:{file.path.resolve()}"
        return [
            source_file if word == _SOURCE else word for word in graph.compile(cmd=ffmpeg_binary())
        ]

    def _video_seconds(self, file: ClipFile, folder: Path) -> float:
        """Return how much video the window holds; 0 when no frame could be decoded."""
        if file.probe.video is None:
            return 0.0
        length = min(file.probe.video.end_s - file.window.start_s, file.window.length_s)
        if self.recipe.sampler == "ffmpeg-r":
            path = folder / FRAMES
            n_frames = len(ImageFile(path)) if path.exists() and path.stat().st_size else 0
            length = min(length, n_frames / self.recipe.frames_per_second)
        return max(0.0, length)

    def _frames_or_none(
        self, file: ClipFile, folder: Path, n_video: int, n_snippets: int, *, needed: bool
    ) -> PickedFrames | None:
        """Return the frames; None when they are broken and not `needed`, as there is audio."""
        try:
            return self._pick_frames(file, folder, n_video, n_snippets)
        except KnownError as error:
            if needed or error.reason is not Reason.CORRUPT:
                raise
            return None

    def _pick_frames(
        self, file: ClipFile, folder: Path, n_video: int, n_snippets: int
    ) -> PickedFrames:
        """Return the frames that the recipe picks; seconds without video repeat the last one."""
        per_second = self.recipe.frames_per_second
        n = n_video * per_second
        if self.recipe.sampler == "ffmpeg-r":
            images = ImageFile(folder / FRAMES)
            picked = np.round(np.linspace(0, len(images) - 1, n)).astype(int).tolist()
        else:
            assert file.probe.video is not None
            images, picked = self.reader.frames_at(
                file.path,
                file.probe.video.index,
                file.window.start_s + (np.arange(n) + 0.5) / per_second,
                folder / FRAMES,
                timeout_s=self._limit_s(file),
                room=ScratchRoom.of(folder, self.room_share, self.little_room),
            )
        return PickedFrames(images, picked + picked[-1:] * ((n_snippets - n_video) * per_second))

    def _limit_s(self, file: ClipFile) -> float:
        return max(self.timeout_s, file.window.length_s)


def _whole_seconds(length_s: float) -> int:
    """Count the seconds of the grid: one counts when at least half of it is there."""
    return math.floor(length_s + 0.5)


def _messages(folder: Path, path: Path) -> str:
    """Return what ffmpeg wrote, without the name of its file, which may say anything."""
    log = folder / LOG
    said = log.read_bytes() if log.exists() else b""
    return said.replace(os.fsencode(path.resolve()), b"the file").decode(errors="replace")


def _undecodable(messages: str) -> KnownError:
    """Return why neither track could be decoded, with the last line that ffmpeg wrote."""
    lines = messages.strip().splitlines()
    last = lines[-1][:300] if lines else "ffmpeg gave no message"
    reason = Reason.TOO_LARGE if _NO_MEMORY in messages else Reason.CORRUPT
    return KnownError(reason, f"no frame and no sample could be decoded: {last}")


def _read_samples(path: Path) -> NDArray[np.int16] | None:
    """Return the decoded samples [N], None when there are none."""
    if not path.exists() or path.stat().st_size < 2:
        return None
    return np.memmap(path, dtype="<i2", mode="r", shape=(path.stat().st_size // 2,))


def _on_grid(samples: NDArray[np.int16], n_snippets: int) -> NDArray[np.float32]:
    """Return the waveform as float32 in -1..1, cut or zero-padded to whole seconds."""
    grid = np.zeros(n_snippets * SAMPLE_RATE, dtype=np.float32)
    n = min(len(samples), len(grid))
    np.divide(samples[:n], 32768.0, out=grid[:n], casting="unsafe")
    return grid
