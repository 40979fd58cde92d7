"""From the lines of an annotation file to values; an error names file, line number and text."""

import csv
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from schemas.clip import Clip
from schemas.events import Event, Modality
from schemas.failure import UsageError

T = TypeVar("T")

SHOWN = 80
"""Characters of a bad line that an error shows."""


def bad_line(path: Path, number: int, line: str, expected: str, why: str = "") -> UsageError:
    """The error for one unreadable line: where it is, what it says, what should stand there."""
    text = line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."
    reason = f" ({why})" if why else ""
    return UsageError(
        f"{path}, line {number}: expected {expected}, found {text!r}{reason}; "
        "correct the line or fetch the file again"
    )


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines without their ends, LF or CRLF; blank lines are passed over.

    A byte order mark is passed over too; `UsageError` for what is not UTF-8 or cannot be opened.
    """
    try:
        handle = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    with handle:
        for number, raw in enumerate(handle, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                shown = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
                raise bad_line(path, number, shown, "text in UTF-8") from None
            if line.strip():
                yield number, line


def parse_lines(
    path: Path,
    parse: Callable[[str], T],
    expected: str,
    *,
    header: str | None = None,
    skip: str = "",
) -> Iterator[T]:
    """`parse(line)` for each line; its ValueError becomes a `UsageError` that says `expected`.

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
    """The line cut at `separator`; ValueError unless there are exactly `count` fields."""
    found = line.split(separator)
    if len(found) != count:
        raise ValueError(f"{len(found)} fields instead of {count}")
    return found


def comma_fields(line: str) -> list[str]:
    """Fields of a comma separated line with quotes, blanks after commas dropped.

    >>> comma_fields('--aE2O5G5WE, 0.000, 10.000, "/m/03fwl,/m/04rlf"')
    ['--aE2O5G5WE', '0.000', '10.000', '/m/03fwl,/m/04rlf']
    """
    try:
        return next(csv.reader((line,), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from None


def seconds(text: str) -> float:
    """A time in seconds; ValueError when it is no finite number or below zero."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number of seconds") from None
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{text!r} is no time in a clip")
    return value


def unique(labels: list[str], known: Collection[str]) -> tuple[str, ...]:
    """Labels in order without repeats; ValueError for one that is not among `known`."""
    for label in labels:
        if label not in known:
            raise ValueError(f"unknown label {label!r}")
    return tuple(dict.fromkeys(labels))


def cut_name(name: str) -> tuple[str, float, float]:
    """Video id, start and end of `<video id>_<start>_<end>`, read from the right.

    Ids may hold `_` and `-` themselves.

    >>> cut_name("7_S-dR_QqQo_101.8_111.8")
    ('7_S-dR_QqQo', 101.8, 111.8)
    """
    video_id, start, end = ["", *name.rsplit("_", 2)][-3:]
    if not video_id:
        raise ValueError(f"{name!r} is not <video id>_<start>_<end>")
    return video_id, seconds(start), seconds(end)


def clip_table(
    path: Path, columns: str, known: Collection[str], splits: Sequence[str]
) -> Iterator[Clip]:
    """Clips of a tab separated table whose first column is the key and last column the labels.

    `columns` is the header. A column `split` between the two says which of `splits` the clip is
    in, without it the clip is in the first. Names are kept whole as the clips' keys.
    """

    def parse(line: str) -> Clip:
        row = fields(line, columns.count("\t") + 1, "\t")
        video_id, start_s, end_s = cut_name(row[0])
        labels = unique(row[-1].split(",") if row[-1] else [], known)
        split = row[1] if len(row) == 3 else splits[0]
        if split not in splits:
            raise ValueError(f"unknown split {split!r}, known are {', '.join(splits)}")
        return Clip(video_id, start_s, end_s, split, labels, row[0])

    named = columns.replace("\t", ", ")
    expected = f"{named}, tab separated, with <video id>_<start>_<end> and known labels"
    return parse_lines(path, parse, expected, header=columns)


def event_table(path: Path, modality: Modality, known: Collection[str]) -> Iterator[Event]:
    """Events of a tab separated table with the columns filename, onset, offset, event_labels."""

    def parse(line: str) -> Event:
        name, onset, offset, label = fields(line, 4, "\t")
        return Event(name, modality, seconds(onset), seconds(offset), *unique([label], known))

    expected = "a clip's name, onset and offset in seconds and one known label, tab separated"
    return parse_lines(path, parse, expected, header="filename\tonset\toffset\tevent_labels")
