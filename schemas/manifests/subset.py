"""Subset files: the clips of a data set that a paper's numbers are of, one key a line.

    # llp, 3 clips, subset 4f0d0a7b6d9c1e52
    0BvAG8PYRbk_0_10
    0f-x0Vwa_kA_30_40
    zzVQBKNvq1A_70_80

Lines that begin with `#` are comments. The id is a hash of the keys, whatever their order, as every
store and every score has it.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from schemas.clip import Clip
from schemas.failure import UsageError
from schemas.manifest import subset_id
from schemas.manifests.lines import bad_line, read_lines

_MOST_CHARACTERS = 300


def read_subset(path: Path) -> frozenset[str]:
    """Return the clip keys of a subset file; `UsageError` for what is none, or names no clip."""
    keys = []
    for number, line in read_lines(path):
        key = line.strip()
        if key.startswith("#"):
            continue
        if "\t" in key or len(key) > _MOST_CHARACTERS:
            raise bad_line(path, number, line, "one clip key, such as 0BvAG8PYRbk_0_10")
        keys.append(key)
    if not keys:
        raise UsageError(f"{path} names no clip; a subset file has one clip key a line")
    return frozenset(keys)


def subset_text(dataset: str, keys: Collection[str]) -> str:
    """Return the content of a subset file.

    >>> print(subset_text("llp", ["b_0_10", "a_0_10"]))
    # llp, 2 clips, subset eb0925779a667bad
    a_0_10
    b_0_10
    <BLANKLINE>
    """
    head = f"# {dataset}, {len(keys):,} clips, subset {subset_id(keys)}"
    return "\n".join([head, *sorted(keys), ""])


def of_subset(clips: Iterable[Clip], subset: Collection[str] | None) -> Iterator[Clip]:
    """Yield the clips that a subset names, all where there is none."""
    return (clip for clip in clips if subset is None or clip.key in subset)
