"""The dataset card of a feature store: `README.md`, by which Hugging Face opens the tables.

Its head names the Parquet files of every table, so that `load_dataset(OUT, "snippets")` works on
the folder and on a hub that it was uploaded to. What stands behind `END` is the user's and stays.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from pipelines.store import files
from schemas.messages import printable

CARD_FILE = "README.md"
END = "<!-- end of what the features job writes; what follows stays -->"
MOST_FILES = 1000
"""With more parts than this the card names a table's folder; `beam run pack` makes them fewer."""
SPLIT = "train"
"""The one split that a hub's viewer sees; the data set's own is column `split` of `clips`."""
_ONE_SPLIT = (
    f"Every table is one config with the one split `{SPLIT}`; the data set's own splits are\n"
    "column `split` of `clips`."
)


def write_card(store: str, manifest: Mapping[str, Any]) -> None:
    """Write or renew a store's card; a README.md without `END` is the user's own, and stays."""
    path = files.join(store, CARD_FILE)
    rest = "\n"
    if files.exists(path):
        _, found, rest = files.read(path).decode(errors="replace").partition(END)
        if not found:
            return
    rows = _count_rows(store, manifest)
    tables = {name: manifest["tables"][name] for name in rows}
    named = sum(map(len, tables.values())) <= MOST_FILES
    by_split = {
        name: {SPLIT: paths if named else [f"{name}/*.parquet"]} for name, paths in tables.items()
    }
    files.write(path, (card_text(manifest, rows, by_split, _ONE_SPLIT) + rest).encode())


def card_text(
    manifest: Mapping[str, Any],
    rows: Mapping[str, int],
    paths: Mapping[str, Mapping[str, Sequence[str]]],
    about_splits: str,
) -> str:
    """Return a card up to `END`: `paths` are the files of each table by split, `rows` its rows."""
    return "\n".join([*_head(manifest, paths), *_body(manifest, rows, about_splits), END])


def _count_rows(store: str, manifest: Mapping[str, Any]) -> dict[str, int]:
    """Return the rows of each table that has some: of an empty one `datasets` makes nothing."""
    counted = manifest["counts"].get("rows", {})
    rows = {
        name: counted[name] if name in counted else sum(_part_rows(store, path) for path in paths)
        for name, paths in manifest["tables"].items()
    }
    return {name: count for name, count in rows.items() if count}


def _part_rows(store: str, path: str) -> int:
    with files.open_read(files.join(store, *path.split("/"))) as part:
        return int(pq.ParquetFile(part).metadata.num_rows)


def _head(
    manifest: Mapping[str, Any], paths: Mapping[str, Mapping[str, Sequence[str]]]
) -> Iterator[str]:
    """Yield the YAML of the card; its strings are written as JSON, which YAML reads."""
    yield "---"
    yield f"pretty_name: {json.dumps(_title(manifest))}"
    yield "configs:"
    for name, by_split in paths.items():
        yield f"- config_name: {name}"
        if name == "clips":
            yield "  default: true"
        yield "  data_files:"
        for split, files_of in by_split.items():
            yield f"  - split: {split}"
            yield "    path:"
            yield from (f"    - {json.dumps(path)}" for path in files_of)
    yield "---"


def _body(manifest: Mapping[str, Any], rows: Mapping[str, int], about_splits: str) -> Iterator[str]:
    recipe, counts = manifest["recipe"], manifest["counts"]
    yield f"# {_title(manifest)}"
    yield ""
    yield (
        f"{counts['clips_done']:,} of {counts['clips_in']:,} clips, recipe `{recipe['name']}` "
        f"({recipe['hash']}), weights `{printable(recipe['weights'])}`, subset "
        f"`{manifest['subset_id']}`."
    )
    yield ""
    yield "```python"
    yield "from datasets import load_dataset"
    yield ""
    yield 'clips = load_dataset(FOLDER_OR_HUB_NAME, "clips", split="train")'
    yield "```"
    yield ""
    yield about_splits
    yield ""
    yield "| table | rows |"
    yield "|---|---|"
    yield from (f"| `{name}` | {count:,} |" for name, count in rows.items())
    yield ""


def _title(manifest: Mapping[str, Any]) -> str:
    return printable(f"Features of {manifest['dataset']}")
