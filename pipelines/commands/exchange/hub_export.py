"""`beam export --to hf`: a store as a data set of Hugging Face whose splits are the data set's.

    OUT/README.md                       the dataset card, one configuration for each table
    OUT/snippets/train-00000.parquet    files of about one size; likewise clips, segments, ...
    OUT/events/whole.parquet            tables in one piece, under the split `train`
    OUT/manifest.json                   that of the store, with these files: the trainer reads it

A store's own card makes one split of everything; here `load_dataset(OUT, "snippets", split="test")`
gives the clips of the data set's test split.
"""

import re
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.commands.exchange.new_folder import new_folder
from pipelines.commands.exchange.stored_clips import (
    beside,
    facts_of,
    read_clips,
    whole_path,
    write_whole_tables,
)
from pipelines.store.dataset_card import CARD_FILE, SPLIT, card_text
from pipelines.store.integrity import sha256_of
from pipelines.store.parquet import IMAGE_GROUP_BYTES, parquet_settings
from schemas import StoreManifest, TableName
from schemas.checked_json import encode_record
from schemas.features import IMAGE_TABLES
from schemas.manifest import MANIFEST

_ROW_GROUP_BYTES = 32 * 2**20
_SPLITS = (
    "Every table is one config; its splits are those of the data set, and tables without clips of\n"
    f"their own, such as `events`, have the one split `{SPLIT}`."
)


def export_hub(manifest: StoreManifest, out: Path, shard_bytes: int) -> list[str]:
    """Write the folder and return lines that say what it holds."""
    with new_folder(out) as folder:
        writers = _write_clips(manifest, folder, shard_bytes)
        files = {key: writer.paths for key, writer in writers.items()}
        rows = Counter[TableName]()
        for (name, _), writer in writers.items():
            rows[name] += writer.rows
        for name, table in write_whole_tables(manifest, folder).items():
            files[name, SPLIT], rows[name] = [whole_path(name)], table
        _write_last_files(manifest, folder, files, rows)
    splits = sorted({split for name, split in files if name == "clips"})
    return [
        f"{out}: {rows['clips']:,} clips in {sum(map(len, files.values())):,} Parquet files, "
        f"splits {', '.join(splits)}",
        f'Open it with datasets.load_dataset("{out}", "snippets", split=...)',
    ]


def _write_clips(
    manifest: StoreManifest, folder: Path, most: int
) -> dict[tuple[TableName, str], "_Writer"]:
    writers: dict[tuple[TableName, str], _Writer] = {}
    with ExitStack() as open_files:
        for clip in read_clips(manifest):
            split = split_name(clip["clips"]["split"][0].as_py())
            for name, rows in clip.items():
                if (name, split) not in writers:
                    writers[name, split] = _Writer(folder, name, split, most, open_files)
                writers[name, split].add(rows)
        for writer in writers.values():
            writer.close()
    return writers


def split_name(split: str) -> str:
    """Return a split as `datasets` allows it to be called; clips of no split are `train`.

    >>> split_name(""), split_name("test"), split_name("eval-2")
    ('train', 'test', 'eval_2')
    """
    return re.sub(r"\W", "_", split, flags=re.ASCII) or SPLIT


def _write_last_files(
    manifest: StoreManifest,
    folder: Path,
    files: dict[tuple[TableName, str], list[str]],
    rows: Counter[TableName],
) -> None:
    splits = sorted((split for name, split in files if name == "clips"), key=lambda s: s != SPLIT)
    order = list(dict.fromkeys([*splits, SPLIT]))  # the same for every table, so that they align
    by_split = {
        name: {split: files[name, split] for split in order if (name, split) in files}
        for name in manifest.tables
    }
    tables = {
        name: [path for paths in by_split[name].values() for path in paths] for name in by_split
    }
    every = [path for paths in tables.values() for path in paths] + beside(manifest)
    record: dict[str, Any] = {
        **facts_of(manifest),
        "schema_version": manifest.data["schema_version"],
        "tables": tables,
        "subset_id": manifest.subset_id,
        "sha256": {path: sha256_of(str(folder / path)) for path in every},
    }
    filled = {name: paths for name, paths in by_split.items() if rows[name]}
    card = card_text(record, {name: rows[name] for name in filled}, filled, _SPLITS)
    (folder / CARD_FILE).write_text(f"{card}\n", encoding="utf-8")
    (folder / MANIFEST).write_bytes(encode_record(record))


@dataclass
class _Writer:
    """The files of one table and split; a new one begins when a file is large enough."""

    folder: Path
    table: TableName
    split: str
    most: int
    """Bytes of a file, about."""
    open_files: ExitStack
    rows: int = 0
    paths: list[str] = field(default_factory=list)
    _held: list[pa.Table] = field(default_factory=list)
    _held_bytes: int = 0
    _file: pq.ParquetWriter | None = None

    def add(self, rows: pa.Table) -> None:
        """Take the rows of one clip."""
        self._held.append(rows)
        self._held_bytes += rows.nbytes
        self.rows += rows.num_rows
        group = IMAGE_GROUP_BYTES if self.table in IMAGE_TABLES else _ROW_GROUP_BYTES
        if self._held_bytes >= min(group, self.most):
            self._write()

    def close(self) -> None:
        """Write what is held, and the end of the file."""
        if self._held:
            self._write()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self) -> None:
        table = pa.concat_tables(self._held)
        if self._file is None:
            self.paths.append(f"{self.table}/{self.split}-{len(self.paths):05d}.parquet")
            path = self.folder / self.paths[-1]
            path.parent.mkdir(exist_ok=True)
            settings = parquet_settings(table.schema)
            self._file = pq.ParquetWriter(path, table.schema, **settings)
            self.open_files.callback(self._file.close)
        self._file.write_table(table, row_group_size=table.num_rows)
        self._held, self._held_bytes = [], 0
        if (self.folder / self.paths[-1]).stat().st_size >= self.most:
            self.close()
