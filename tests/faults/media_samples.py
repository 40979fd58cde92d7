"""Small valid media files in every container, and the product's own way from file to rows."""

import functools
import math
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from extractors.base import Extractor
from pipelines.jobs.features.worker import Runtime, UnitWorker, load_extractors
from pipelines.media.media_index import MediaFile
from pipelines.store.feature_store import FeatureStore
from pipelines.store.receipts import Receipt
from pipelines.store.units import ClipTask, Unit
from schemas import RECIPES, Clip, Reason, Recipe
from schemas.machine.ffmpeg import ffmpeg_binary

VIDEO = ("-f", "lavfi", "-i", "testsrc2=size=48x32:rate=10:duration=1.2")
AUDIO = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000:duration=1.2")
WORDS: Mapping[str, tuple[str, ...]] = {
    "mp4": (*VIDEO, *AUDIO, "-c:v", "libx264", "-c:a", "aac", "-pix_fmt", "yuv420p"),
    "faststart.mp4": (
        *VIDEO, *AUDIO, "-c:v", "mpeg4", "-c:a", "aac", "-movflags", "+faststart"
    ),
    "fragments.mp4": (
        *VIDEO, *AUDIO, "-c:v", "mpeg4", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"
    ),
    "mov": (*VIDEO, *AUDIO, "-c:v", "mjpeg", "-c:a", "pcm_s16le"),
    "mkv": (*VIDEO, *AUDIO, "-c:v", "mpeg4", "-c:a", "flac"),
    "webm": (*VIDEO, *AUDIO, "-c:v", "libvpx", "-c:a", "libopus"),
    "avi": (*VIDEO, *AUDIO, "-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    "ts": (*VIDEO, *AUDIO, "-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2", "-ar", "16000"),
    "flv": (*VIDEO, *AUDIO, "-c:v", "flv", "-c:a", "libmp3lame", "-ar", "11025"),
    "wmv": (*VIDEO, *AUDIO, "-c:v", "wmv2", "-c:a", "wmav2"),
    "gif": (*VIDEO, "-c:v", "gif"),
    "wav": (*AUDIO, "-c:a", "pcm_s16le"),
    "aiff": (*AUDIO, "-c:a", "pcm_s16be"),
    "ogg": (*AUDIO, "-c:a", "libvorbis"),
    "opus": (*AUDIO, "-c:a", "libopus"),
    "flac": (*AUDIO, "-c:a", "flac"),
    "mp3": (*AUDIO, "-c:a", "libmp3lame"),
    "aac": (*AUDIO, "-c:a", "aac"),
}  # fmt: skip
"""How each sample is made, by its ending."""

RECIPE = RECIPES["llp-eccv20"].with_(extractors=("logmel",), weights="seeded:0")
CLEAN = RECIPES["clean"].with_(extractors=("logmel",), weights="seeded:0")


@functools.cache
def sample(ending: str) -> bytes:
    """Return a valid file of 1.2 s."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"sample.{ending}")
        command = [ffmpeg_binary(), "-v", "error", "-nostdin", *WORDS[ending], "-threads", "1"]
        subprocess.run([*command, str(path)], check=True, timeout=60)
        return path.read_bytes()


@functools.cache
def loaded(recipe: Recipe) -> dict[str, Extractor]:
    """Return the extractors of a recipe, loaded once per process."""
    return load_extractors(recipe, Runtime())


def features(media: Mapping[str, Path], folder: Path, recipe: Recipe = RECIPE) -> Receipt:
    """Do the clips of some files, by key, as one unit of a features job into `folder/out`."""
    tasks = [
        ClipTask(Clip(key, 0.0, math.inf, name=key), MediaFile(str(path), cut=True), 1)
        for key, path in media.items()
    ]
    return do_tasks(tasks, folder, recipe)


def do_tasks(tasks: Sequence[ClipTask], folder: Path, recipe: Recipe) -> Receipt:
    """Do some clips as one unit of a features job into `folder/out`."""
    (folder / "out").mkdir()
    (folder / "tmp").mkdir()
    store, runtime = FeatureStore(str(folder / "out")), Runtime(clip_timeout_s=10.0)
    worker = UnitWorker(store, recipe, runtime, lambda: loaded(recipe))
    with closing(worker), _temporary_folder(folder / "tmp"):
        return worker.do(Unit.of(tuple(tasks)))


class _temporary_folder:  # noqa: N801 used as a function
    """Make temporary files of this process in a folder, for the block."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._before = folder, tempfile.tempdir

    def __enter__(self) -> None:
        tempfile.tempdir = str(self._folder)

    def __exit__(self, *_: object) -> None:
        tempfile.tempdir = self._before


def check(receipt: Receipt, keys: Sequence[str], folder: Path) -> None:
    """Raise when a clip is lost, a bug ended one, or temporary files are left."""
    ended = sorted([*receipt.done, *(failure.clip_key for failure in receipt.failed)])
    assert ended == sorted(keys), f"{ended} of {sorted(keys)}"
    bugs = [failure.detail for failure in receipt.failed if failure.reason is Reason.INTERNAL]
    assert not bugs, bugs[0]
    assert not os.listdir(folder / "tmp")
