"""Whether the files of a store are those that were written."""

import hashlib
from collections.abc import Iterable, Mapping

from apache_beam.io.filesystem import BeamIOError

from pipelines.store import files
from pipelines.store.receipts import Receipt
from schemas import read_parquet

_BLOCK = 2**20


def find_damaged_units(out: str, receipts: Iterable[Receipt], *, verify: bool) -> Mapping[str, str]:
    """Return the units of which a part is not what its receipt says, with a sentence for each.

    Sizes are always compared; `verify` also reads every part and compares its sha256.
    """
    damaged: dict[str, str] = {}
    sizes: dict[str, dict[str, int]] = {}
    for receipt in receipts:
        for table in receipt.parts:
            if table not in sizes:
                sizes[table] = files.sizes(files.join(out, table))
        problems = find_part_problems(out, receipt, sizes, verify=verify)
        if problems:
            damaged[receipt.unit] = problems[0]
    return damaged


def find_part_problems(
    out: str, receipt: Receipt, sizes: Mapping[str, Mapping[str, int]], *, verify: bool
) -> list[str]:
    """Return a sentence for each part of a unit that is missing or not what its receipt says.

    `sizes` are the bytes of every part, by table and file name. A receipt of version 1 knows the
    bytes of all parts together, which do not count labels that were updated later: where they
    differ, the parts are read.
    """
    held = {table: sizes[table].get(_name(path)) for table, path in receipt.parts.items()}
    if not receipt.has_checksums:
        verify = verify or sum(size or 0 for size in held.values()) != receipt.size
    problems = []
    for table, path in receipt.parts.items():
        size = held[table]
        if size is None:
            problems.append(f"{path}: named by its receipt, but not there")
        elif receipt.has_checksums and size != receipt.sizes[table]:
            problems.append(f"{path}: has {size} bytes, its receipt says {receipt.sizes[table]}")
        elif verify:
            problem = _read_part(files.join(out, *path.split("/")), receipt, table)
            problems += [f"{path}: {problem}"] if problem else []
    return problems


def _read_part(uri: str, receipt: Receipt, table: str) -> str | None:
    """Read a part; return what is wrong with it, None when nothing is."""
    try:
        if receipt.has_checksums:
            same = sha256_of(uri) == receipt.sha256[table]
            return None if same else "its content was changed since it was written (sha256)"
        with files.open_read(uri) as file:
            rows = read_parquet(file).num_rows
    except (OSError, BeamIOError) as error:
        return f"cannot be read ({str(error).splitlines()[0][:200]})"
    expected = receipt.rows[table]
    return None if rows == expected else f"has {rows} rows, its receipt says {expected}"


def sha256_of(uri: str) -> str:
    """Return the sha256 of a file, as hex digits."""
    digest = hashlib.sha256()
    with files.open_read(uri) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _name(path: str) -> str:
    return path.rsplit("/", 1)[1]
