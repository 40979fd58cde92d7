"""From the lines of an annotation file to values; an error names file, line number and text."""

import csv
import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from schemas.clip import Clip
from schemas.events import Event, Modality
from schemas.failure import UsageError
from schemas.messages import quoted, suggestion

T = TypeVar("T")

UNREADABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but the tab, and what a byte that is not UTF-8 is read as."""


def bad_line(path: Path, number: int, line: str, expected: str, why: str = "") -> UsageError:
    """Return the error for one unreadable line: where it is, what it says, what it should say."""
    reason = f" ({why})" if why else ""
    return UsageError(
        f"{path}, line {number}: expected {expected}, found {quoted(line)}{reason}; "
        "correct the line or fetch the file again"
    )


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line numbers (from 1) and lines without their ends, LF, CRLF or CR; no blank lines.

    A byte order mark is passed over. `UsageError` for what cannot be opened, is not UTF-8 or holds
    a control character other than a tab: no id and no label has one, and terminals obey them.
    """
    try:
        handle = path.open(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    with handle:
        for number, ended in enumerate(handle, start=1):
            line = ended.removesuffix("\n")
            if not line.isprintable() and (unreadable := UNREADABLE.search(line)):
                wanted = "text in UTF-8" if unreadable[0] >= "\ud800" else "no control character"
                raise bad_line(path, number, _bytes_shown(line), wanted)
            if line.strip():
                yield number, line


def _bytes_shown(line: str) -> str:
    """Return a line with bytes that are not UTF-8 as escapes."""
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def parse_lines(
    path: Path,
    parse: Callable[[str], T],
    expected: str,
    *,
    header: str | None = None,
    skip: str = "",
) -> Iterator[T]:
    """Yield `parse(line)` per line; its ValueError becomes a `UsageError` that says `expected`.

    `header` must be the first line when given; lines that start with `skip` are passed over.
    """
    lines = read_lines(path)
    if header is not None:
        number, first = next(lines, (1, ""))
        if first.rstrip() != header:
            raise bad_line(path, number, first, f"the header {header!r}")
    for number, line in lines:
        if skip and line.startswith(skip):
            continue
        try:
            value = parse(line)
        except ValueError as error:
            raise bad_line(path, number, line, expected, str(error)) from None
        yield value


def fields(line: str, count: int, separator: str) -> list[str]:
    """Return the line cut at `separator`; ValueError unless there are exactly `count` fields."""
    parts = line.split(separator)
    if len(parts) != count:
        raise ValueError(f"{len(parts)} fields instead of {count}")
    return parts


def comma_fields(line: str) -> list[str]:
    """Return the fields of a comma separated line with quotes, blanks after commas dropped.

    >>> comma_fields('--aE2O5G5WE, 0.000, 10.000, "/m/03fwl,/m/04rlf"')
    ['--aE2O5G5WE', '0.000', '10.000', '/m/03fwl,/m/04rlf']
    """
    try:
        return next(csv.reader((line,), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from None


def seconds(text: str) -> float:
    """Return a time in seconds; ValueError when it is no finite number or below zero.

    >>> seconds("2.5")
    2.5
    >>> seconds("1_0")
    Traceback (most recent call last):
    ValueError: '1_0' is no number of seconds
    """
    try:
        value = float("no" if "_" in text else text)  # Python reads 1_0 as 10
    except ValueError:
        raise ValueError(f"{quoted(text)} is no number of seconds") from None
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{quoted(text)} is no time in a clip")
    return value


def unique(labels: list[str], known: Collection[str]) -> tuple[str, ...]:
    """Return labels in order without repeats; ValueError for one that is not among `known`."""
    for label in labels:
        if label not in known:
            raise ValueError(f"unknown label {quoted(label)}")
    return tuple(dict.fromkeys(labels))


def cut_name(name: str) -> tuple[str, float, float]:
    """Return video id, start and end of `<video id>_<start>_<end>`, read from the right.

    Ids may hold `_` and `-` themselves.

    >>> cut_name("7_S-dR_QqQo_101.8_111.8")
    ('7_S-dR_QqQo', 101.8, 111.8)
    """
    video_id, start, end = ["", "", *name.rsplit("_", 2)][-3:]
    if not video_id:
        raise ValueError(f"{quoted(name)} is not <video id>_<start>_<end>")
    return video_id, seconds(start), seconds(end)


def clip_table(
    path: Path, columns: str, known: Collection[str], splits: Sequence[str]
) -> Iterator[Clip]:
    """Yield the clips of a tab separated table: key in the first column, labels in the last one.

    `columns` is the header. A column `split` between the two says which of `splits` the clip is
    in, without it the clip is in the first. Names are kept whole as the clips' keys.
    """

    def parse(line: str) -> Clip:
        row = fields(line, columns.count("\t") + 1, "\t")
        video_id, start_s, end_s = cut_name(row[0])
        labels = unique(row[-1].split(",") if row[-1] else [], known)
        split = row[1] if len(row) == 3 else splits[0]
        if split not in splits:
            raise ValueError(f"unknown split {quoted(split)}{suggestion(split, splits)}")
        return Clip(video_id, start_s, end_s, split, labels, row[0])

    named = columns.replace("\t", ", ")
    expected = f"{named}, tab separated, with <video id>_<start>_<end> and known labels"
    return parse_lines(path, parse, expected, header=columns)


def event_table(path: Path, modality: Modality, known: Collection[str]) -> Iterator[Event]:
    """Yield the events of a table: filename, onset, offset, event_labels, tab separated."""

    def parse(line: str) -> Event:
        name, onset, offset, label = fields(line, 4, "\t")
        return Event(name, modality, seconds(onset), seconds(offset), *unique([label], known))

    expected = "a clip's name, onset and offset in seconds and one known label, tab separated"
    return parse_lines(path, parse, expected, header="filename\tonset\toffset\tevent_labels")
