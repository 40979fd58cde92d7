"""`beam export --to webdataset`: a store as tar files of samples, for trainers that stream.

    OUT/train-000000.tar ...    samples of one split; a sample is a clip
    OUT/events/whole.parquet    tables in one piece; likewise failures, pseudo_labels
    OUT/webdataset.json         what the store's manifest says, and the tar files

A sample's members stand together and begin with its key, which has no dot:

    KEY.json                    the row of `clips`, the clip's events, the other tables' columns
    KEY.vggish.npy              a feature of the seconds, zero where absent; likewise the others
    KEY.proposals.feature.npy   a feature of another table
    KEY.frames.image.00000.jpg  an image of a row

`absent` in the JSON names the rows without a value of a feature.
"""

import hashlib
import io
import json
import tarfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from pipelines.commands.exchange.hub_export import split_name
from pipelines.commands.exchange.new_folder import new_folder
from pipelines.commands.exchange.stored_clips import (
    ClipRows,
    beside,
    facts_of,
    read_clips,
    read_whole,
    whole_path,
    write_whole_tables,
)
from pipelines.store.integrity import sha256_of
from schemas import SNIPPETS, StoreManifest, TableName, stored_values, tensor_shape
from schemas.checked_json import encode_record

RECORD = "webdataset.json"
_MOST_NAME = 80
"""Characters of a sample's key: with its endings it fits the plainest kind of tar."""


def export_webdataset(manifest: StoreManifest, out: Path, shard_bytes: int) -> list[str]:
    """Write the folder and return lines that say what it holds."""
    events = _events(manifest)
    with new_folder(out) as folder:
        writers: dict[str, _Shards] = {}
        with ExitStack() as open_files:
            for clip in read_clips(manifest):
                split = split_name(clip["clips"]["split"][0].as_py())
                if split not in writers:
                    writers[split] = _Shards(folder, split, shard_bytes, open_files)
                key = clip["clips"]["clip_key"][0].as_py()
                writers[split].add(members(clip, events.get(key, [])))
        whole = write_whole_tables(manifest, folder)
        names = [name for writer in writers.values() for name in writer.names]
        record = {
            **facts_of(manifest),
            "schema_version": manifest.data["schema_version"],
            "tables": {name: [whole_path(name)] for name in whole},
            "subset_id": manifest.subset_id,
            "shards": names,
            "sha256": {
                name: sha256_of(str(folder / name))
                for name in (*names, *map(whole_path, whole), *beside(manifest))
            },
        }
        (folder / RECORD).write_bytes(encode_record(record))
    clips = sum(writer.samples for writer in writers.values())
    return [f"{out}: {clips:,} samples in {len(names):,} tar files, splits {', '.join(writers)}"]


def _events(manifest: StoreManifest) -> dict[str, list[dict[str, Any]]]:
    by_clip: dict[str, list[dict[str, Any]]] = defaultdict(list)
    table = read_whole(manifest, "events")
    for row in [] if table is None else table.to_pylist():
        by_clip[row.pop("clip_key")].append(row)
    return by_clip


def sample_key(clip_key: str) -> str:
    """Return a clip's key as that of a sample: no dot, no slash, of bounded length.

    >>> sample_key("BjCEufrlXm4_20_30"), sample_key("a/b.c")
    ('BjCEufrlXm4_20_30', 'a%2Fb%2Ec')
    """
    name = quote(clip_key, safe="").replace(".", "%2E")
    if len(name) <= _MOST_NAME:
        return name
    digest = hashlib.sha256(clip_key.encode()).hexdigest()[:32]
    return f"{name[: _MOST_NAME - 33]}-{digest}"


def members(clip: ClipRows, events: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return the members of a clip's sample by name, the JSON first."""
    (row,) = clip["clips"].to_pylist()
    key = sample_key(row["clip_key"])
    absent: dict[str, list[int]] = {}
    columns: dict[TableName, dict[str, list[Any]]] = {}
    files: dict[str, bytes] = {}
    for name, rows in clip.items():
        if name == "clips":
            continue
        columns[name] = {}
        for field_ in rows.schema:
            column, ending = rows[field_.name].combine_chunks(), ending_of(name, field_.name)
            shape = tensor_shape(field_)
            if shape is not None:
                values, present = stored_values(column, shape)
                absent[ending] = np.flatnonzero(~present).tolist()
                if present.any():
                    files[f"{key}.{ending}.npy"] = _npy(values)
            elif pa.types.is_binary(field_.type):
                for index, image in enumerate(column.to_pylist()):
                    files[f"{key}.{ending}.{index:05d}.{_image_kind(image)}"] = image
            elif field_.name != "clip_key":
                columns[name][field_.name] = column.to_pylist()
    told = {**row, "events": events, "tables": columns, "absent": absent}
    return {f"{key}.json": json.dumps(told).encode(), **files}


def ending_of(table: TableName, column: str) -> str:
    """Return the ending of a column's members: seconds are plain, others have their table's name.

    >>> ending_of("snippets", "vggish"), ending_of("segments", "vggish")
    ('vggish', 'segments.vggish')
    """
    return column if table == SNIPPETS else f"{table}.{column}"


def _image_kind(image: bytes) -> str:
    return "jpg" if image.startswith(b"\xff\xd8") else "webp"


def _npy(values: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@dataclass
class _Shards:
    """The tar files of one split; a new one begins when a file is large enough."""

    folder: Path
    split: str
    most: int
    """Bytes of a file, about."""
    open_files: ExitStack
    names: list[str] = field(default_factory=list)
    samples: int = 0
    _tar: tarfile.TarFile | None = None

    def add(self, files: dict[str, bytes]) -> None:
        """Add a sample; equal samples give equal bytes, whoever writes them and when."""
        if self._tar is None or self._tar.offset >= self.most:
            if self._tar is not None:
                self._tar.close()
            self.names.append(f"{self.split}-{len(self.names):06d}.tar")
            path = self.folder / self.names[-1]
            self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
            self.open_files.callback(self._tar.close)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            self._tar.addfile(member, io.BytesIO(data))
        self._tar.members.clear()  # type: ignore[attr-defined]  # it would keep every member
        self.samples += 1
