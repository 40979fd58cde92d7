"""The truth beside the clips, and the record that a world is finished.

`demo_clips.csv`, `demo_audio_events.csv` and `demo_visual_events.csv` are tab separated in the form
of LLP's annotation files; `demo_boxes.parquet` has one row per object and frame.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.demo.classes import FAMILY
from pipelines.demo.options import DEMO_VERSION, DemoOptions
from pipelines.demo.scene import Scene
from pipelines.demo.video import Box
from pipelines.media.ffmpeg import ffmpeg_version
from schemas.demo import (
    AUDIO_FILE,
    BOXES_FILE,
    CLASSES_FILE,
    CLIPS_FILE,
    RECORD_FILE,
    SOURCES_FOLDER,
    VISUAL_FILE,
)

BOX_SCHEMA = pa.schema(
    [
        ("clip_key", pa.string()), ("frame_index", pa.int32()), ("label", pa.string()),
        ("event_id", pa.int32()), ("x0", pa.float32()), ("y0", pa.float32()),
        ("x1", pa.float32()), ("y1", pa.float32()), ("visible_share", pa.float32()),
    ]
)  # fmt: skip
"""Columns of `demo_boxes.parquet`."""


def box_table(clip_key: str, boxes: Sequence[Box]) -> pa.Table:
    """Return the boxes of one clip as rows of `demo_boxes.parquet`."""
    columns = {name: [getattr(box, name) for box in boxes] for name in BOX_SCHEMA.names[1:]}
    return pa.table({"clip_key": [clip_key] * len(boxes), **columns}, schema=BOX_SCHEMA)


def write_truth(
    options: DemoOptions, scenes: Sequence[Scene], boxes: Sequence[pa.Table], folder: Path
) -> None:
    """Write every truth file but the record, each one whole or not at all."""
    _write_rows(
        folder / CLIPS_FILE,
        "filename\tsplit\tevent_labels",
        (f"{scene.clip_key}\t{scene.split}\t{','.join(scene.labels)}" for scene in scenes),
    )
    _write_events(folder / AUDIO_FILE, scenes, "audio")
    _write_events(folder / VISUAL_FILE, scenes, "visual")
    _write_rows(folder / CLASSES_FILE, options.class_names[0], options.class_names[1:])
    unfinished = folder / f".{BOXES_FILE}"
    pq.write_table(pa.concat_tables([BOX_SCHEMA.empty_table(), *boxes]), unfinished)
    unfinished.replace(folder / BOXES_FILE)


def _write_events(
    path: Path, scenes: Sequence[Scene], modality: Literal["audio", "visual"]
) -> None:
    rows = (
        f"{scene.clip_key}\t{onset}\t{offset}\t{label}"
        for scene in scenes
        for label, onset, offset in scene.runs(modality)
    )
    _write_rows(path, "filename\tonset\toffset\tevent_labels", rows)


def _write_rows(path: Path, header: str, rows: Iterable[str]) -> None:
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    unfinished.replace(path)


def source_name(clip_key: str, event_id: int, label: str) -> str:
    """Return the file name of one event's clean waveform, relative to the world's folder."""
    return f"{SOURCES_FOLDER}/{clip_key}_{event_id}_{label}.wav"


def file_names(options: DemoOptions, scenes: Sequence[Scene]) -> list[str]:
    """Return every file of the world but the record, relative to its folder."""
    sources = [
        source_name(scene.clip_key, event.event_id, event.label)
        for scene in scenes
        for event in scene.events
        if options.sources and event.heard is not None
    ]
    truth = [CLIPS_FILE, AUDIO_FILE, VISUAL_FILE, CLASSES_FILE, BOXES_FILE]
    return [*truth, *(f"{scene.clip_key}.mp4" for scene in scenes), *sources]


def write_record(options: DemoOptions, scenes: Sequence[Scene], folder: Path) -> None:
    """Write `demo.json`, the sign that the world is finished."""
    record = {
        "version": DEMO_VERSION,
        "options": options.to_json(),
        "world": options.world,
        "ffmpeg": ffmpeg_version(),
        "families": {name: FAMILY[name] for name in options.class_names},
        "sha256": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in file_names(options, scenes)
        },
    }
    _write_rows(folder / RECORD_FILE, json.dumps(record, indent=1), ())


def read_record(folder: Path) -> dict[str, Any] | None:
    """Read `demo.json` of a finished world; None where there is none that can be read."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return record
