"""`beam coverage`: which clips stores hold, which of them two labs share, and files that say so."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from schemas import StoreManifest, UsageError, read_parquet, read_store_manifest
from schemas.manifest import MANIFEST, subset_id
from schemas.manifests.subset import read_subset, subset_text
from schemas.messages import printable
from schemas.settings import screen

_MOST_SHOWN = 5
_ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say which clips a store holds, or which clips two labs share.

    A lab is a media folder, a feature store, or a subset file with one clip key a line.

    beam coverage out/llp --write llp.txt

    beam coverage --compare out/llp theirs.txt --write shared.txt
    """

    of: Annotated[str | None, tyro.conf.Positional] = None
    """A store or a subset file."""
    compare: tuple[str, str] | None = None
    """Two of them."""
    write: str | None = None
    """Subset file for the clips: those of the one, or those that both have. --subset takes it."""


@dataclass(frozen=True)
class Held:
    """The clips that a lab has."""

    name: str
    dataset: str
    """Empty where a file does not say it."""
    splits: dict[str, str]
    """Clip key to its split, empty where nothing says it."""


def run(options: Options, rest: list[str]) -> int:
    """Print the counts; write the subset file where one is asked for."""
    if (options.of is None) == (options.compare is None):
        raise UsageError("beam coverage takes one store, or --compare and two of them")
    names = [options.of] if options.of is not None else list(options.compare or ())
    labs = [read_held(name) for name in names]
    datasets = {lab.dataset for lab in labs if lab.dataset}
    if len(datasets) > 1:
        raise UsageError(f"{' and '.join(names)} are of different data sets: {sorted(datasets)}")
    shared = set(labs[0].splits).intersection(*(lab.splits for lab in labs[1:]))
    console = screen.results()
    console.print(_counts(labs, shared))
    for lab in labs:
        console.print(
            f"{printable(lab.name)}: {len(lab.splits):,} clips, subset {subset_id(lab.splits)}",
            soft_wrap=True,
        )
    if len(labs) > 1:
        for line in _differences(labs, shared):
            console.print(line, soft_wrap=True)
    if options.write is not None:
        _write(Path(options.write), next(iter(datasets), "clips"), shared)
        console.print(f"{len(shared):,} clips: {options.write}", soft_wrap=True)
    return 0


def read_held(name: str) -> Held:
    """Return the clips of a store or a subset file; `UsageError` for what is neither."""
    path = Path(name)
    if path.is_file() and path.name != MANIFEST:
        return Held(name, "", dict.fromkeys(read_subset(path), ""))
    manifest = read_store_manifest(path, media=True)
    of_media = manifest.data.get("kind") == "media"
    splits = dict(_splits(manifest, "media" if of_media else "clips"))
    if of_media:  # a record stays when its file goes
        there = {file.stem for file in manifest.root.glob("*.mp4")}
        splits = {key: split for key, split in splits.items() if key in there}
    return Held(name, manifest.dataset, splits)


def _splits(manifest: StoreManifest, table: str) -> Iterator[tuple[str, str]]:
    for path in manifest.paths(table):
        try:
            rows = read_parquet(path).to_pylist()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read ({printable(str(error))}); `beam validate "
                f"{manifest.root}` lists what is off"
            ) from None
        for row in rows:
            yield row["clip_key"], row.get("split") or ""


def _counts(labs: list[Held], shared: Collection[str]) -> Table:
    """Return a row for each split, and one for all."""
    known = {key: split for lab in labs for key, split in lab.splits.items() if split}
    heads = ["clips"] if len(labs) == 1 else ["both", "first only", "second only"]
    table = Table("split", *heads, title="coverage", title_justify="left")
    columns = [set(shared)] if len(labs) == 1 else [
        set(shared), set(labs[0].splits) - set(shared), set(labs[1].splits) - set(shared)
    ]  # fmt: skip
    counted = [Counter(known.get(key, "(none)") for key in keys) for keys in columns]
    for split in sorted({name for counts in counted for name in counts}):
        table.add_row(split, *(f"{counts[split]:,}" for counts in counted))
    table.add_row(_ALL, *(f"{counts.total():,}" for counts in counted))
    return table


def _differences(labs: list[Held], shared: Collection[str]) -> Iterator[str]:
    every = set(labs[0].splits) | set(labs[1].splits)
    yield f"shared: {len(shared):,} of {len(every):,} clips, {len(shared) / len(every):.1%}"
    for lab in labs:
        alone = sorted(set(lab.splits) - set(shared))
        if alone:
            more = f" and {len(alone) - _MOST_SHOWN:,} more" if len(alone) > _MOST_SHOWN else ""
            first = ", ".join(map(printable, alone[:_MOST_SHOWN]))
            yield f"only in {printable(lab.name)}: {first}{more}"


def _write(path: Path, dataset: str, keys: Collection[str]) -> None:
    if not keys:
        raise UsageError(f"--write {path}: no clip is shared, so there is nothing to write")
    try:
        path.write_text(subset_text(dataset, keys), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--write {path} cannot be written: {error.strerror}") from None
