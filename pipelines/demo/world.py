"""Make a demo world in a folder: clips side by side, then the truth, then the record."""

import logging
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa

from pipelines.demo.audio import mix_audio
from pipelines.demo.encode import TIME_LIMIT_S, write_clip, write_wav
from pipelines.demo.options import DemoOptions
from pipelines.demo.scene import Scene, generator, plan_scene
from pipelines.demo.truth import (
    box_table,
    read_record,
    source_name,
    write_record,
    write_truth,
)
from pipelines.demo.video import render_video
from schemas import UsageError
from schemas.demo import SOURCES_FOLDER

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in all) after every clip."""

_FORMATS = ((44_100, 2), (44_100, 1), (16_000, 1), (16_000, 2))
_FORMAT_ITEM = 200


def generate(options: DemoOptions, folder: Path, progress: Progress | None = None) -> Path:
    """Make the world of `options` in `folder` and return the folder.

    A finished world of equal options is left as it is; an unfinished one, or one of the same
    seed, classes and difficulty with another number of clips, keeps its clips and gets the rest.
    `UsageError` when the folder holds another world, `JobError` when ffmpeg fails.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; choose a folder for the demo world")
    if _finished(options, folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    if options.sources:
        (folder / SOURCES_FOLDER).mkdir(exist_ok=True)
    _sweep(folder)
    started = time.monotonic()
    scenes = [plan_scene(options, index) for index in range(options.clips)]
    boxes = []
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))  # ffmpeg does half the work
    try:
        for done, table in enumerate(
            pool.map(lambda scene: _make_clip(options, scene, folder), scenes), 1
        ):
            boxes.append(table)
            if progress is not None:
                progress(done, len(scenes))
    finally:
        pool.shutdown(cancel_futures=True)
    write_truth(options, scenes, boxes, folder)
    write_record(options, scenes, folder)
    log.info("demo world of %d clips in %.1f s", len(scenes), time.monotonic() - started)
    return folder


def _finished(options: DemoOptions, folder: Path) -> bool:
    """Tell whether the folder holds all of this very world; `UsageError` for another."""
    record = read_record(folder)
    if record is None:
        return False
    if record.get("world") != options.world:
        raise UsageError(
            f"{folder} holds another demo world ({record.get('world')}, not {options.world}); "
            "choose another folder or remove this one"
        )
    return record["options"] == options.to_json() and all(
        (folder / name).is_file() for name in record["sha256"]
    )


def _sweep(folder: Path) -> None:
    """Remove what a killed run left half made; what a living one makes is younger."""
    for rest in folder.glob(".making-*"):
        if time.time() - rest.stat().st_mtime > 2 * TIME_LIMIT_S:
            shutil.rmtree(rest, ignore_errors=True)


def _make_clip(options: DemoOptions, scene: Scene, folder: Path) -> pa.Table:
    """Make what is missing of one clip; the boxes are drawn anew, for they need no file."""
    frames, boxes = render_video(options, scene)
    path = folder / f"{scene.clip_key}.mp4"
    track = mix_audio(options, scene)
    if not path.exists():
        chosen = int(generator(options, scene.index, "audio", _FORMAT_ITEM).integers(len(_FORMATS)))
        sample_rate, channels = _FORMATS[chosen]
        write_clip(path, frames, track.mix, sample_rate=sample_rate, channels=channels)
    if options.sources:
        for event_id, waveform in track.sources.items():
            name = source_name(scene.clip_key, event_id, scene.events[event_id].label)
            unfinished = (folder / name).with_suffix(".part")
            write_wav(unfinished, waveform)
            unfinished.replace(folder / name)
    return box_table(scene.clip_key, boxes)
