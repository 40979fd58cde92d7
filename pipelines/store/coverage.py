"""Coverage of a data set: clips present and missing by split, class and reason.

Every lab has another subset of the same YouTube clips, so a score means little without this page.
It is written beside `manifest.json` as `coverage.json`, which the trainer reads, and `coverage.md`.
"""

import io
import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apache_beam.io.filesystem import BeamIOError

from pipelines.store import files
from schemas import Clip, UsageError, read_parquet
from schemas.checked_json import parse_json
from schemas.machine.clock import utc_stamp
from schemas.manifest import MANIFEST, decode_manifest

_log = logging.getLogger(__name__)


MOST_OTHER_FILES = 20
"""Names of files not taken for media that are listed."""
MOST_PAIRS = 20
"""Pairs of near duplicates that the page lists."""
NOT_TRIED = "not_tried"
"""Reason of a clip that has neither been fetched nor failed."""


@dataclass
class Share:
    """Clips of the data set, clips present, and why the others are missing."""

    clips: int = 0
    present: int = 0
    missing: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str | None) -> None:
        """Count a clip; `reason` is None when it is present."""
        self.clips += 1
        if reason is None:
            self.present += 1
        else:
            self.missing[reason] += 1

    def add_all(self, other: "Share") -> None:
        """Add the counts of another share."""
        self.clips += other.clips
        self.present += other.present
        self.missing.update(other.missing)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Share":
        """Read a share back from `to_json`."""
        return cls(raw["clips"], raw["present"], Counter(raw["missing"]))

    def to_json(self) -> dict[str, Any]:
        """Return the counts, reasons in order of their number."""
        return {
            "clips": self.clips, "present": self.present,
            "missing": dict(self.missing.most_common()),
        }  # fmt: skip


@dataclass
class Coverage:
    """The coverage of one store."""

    dataset: str
    subset_id: str
    date: str
    """Time of the count, ISO 8601 in UTC."""
    all: Share
    splits: dict[str, Share]
    """Split, `(none)` for clips without one."""
    classes: dict[str, dict[str, Share]]
    """Split to class to counts; a clip counts for each of its labels."""
    other_files: Sequence[str] = ()
    """Files in the media folder that are not taken for media."""
    near_duplicates: Mapping[str, Any] | None = None
    """How many `pairs` of clips of different videos look or sound alike, how many of them
    `across_splits`, and the `first` of them; None where nobody looked."""

    @classmethod
    def of(
        cls,
        dataset: str,
        clips: Iterable[Clip],
        present: Collection[str],
        reasons: Mapping[str, str],
        subset_id: str,
    ) -> "Coverage":
        """Count clips by key: those in `present`, the others by their reason."""
        now = utc_stamp()
        coverage = cls(dataset, subset_id, now, Share(), {}, {})
        for clip in clips:
            reason = None if clip.key in present else reasons.get(clip.key, NOT_TRIED)
            split = clip.split or "(none)"
            coverage.all.add(reason)
            coverage.splits.setdefault(split, Share()).add(reason)
            by_class = coverage.classes.setdefault(split, {})
            for label in clip.labels:
                by_class.setdefault(label, Share()).add(reason)
        return coverage

    def keep_other_splits(self, earlier: Mapping[str, Any]) -> None:
        """Take over splits that this run did not count from an earlier `coverage.json`."""
        if earlier.get("dataset") != self.dataset:
            return
        for split, raw in earlier["splits"].items():
            if split not in self.splits:
                self.splits[split] = Share.from_json(raw)
                self.classes[split] = {
                    label: Share.from_json(share) for label, share in raw["classes"].items()
                }
                self.all.add_all(self.splits[split])

    def to_json(self) -> dict[str, Any]:
        """Return the content of `coverage.json`."""
        return {
            "dataset": self.dataset,
            "subset_id": self.subset_id,
            "date": self.date,
            **self.all.to_json(),
            **(
                {"near_duplicates": dict(self.near_duplicates)}
                if self.near_duplicates is not None
                else {}
            ),
            "other_files": {
                "count": len(self.other_files),
                "names": list(self.other_files[:MOST_OTHER_FILES]),
            },
            "splits": {
                split: {
                    **share.to_json(),
                    "classes": {
                        label: counts.to_json()
                        for label, counts in sorted(self.classes[split].items())
                    },
                }
                for split, share in self.splits.items()
            },
        }

    def to_markdown(self) -> str:
        """Return the same as a page of tables."""
        lines = [
            f"# Coverage of {_cell(self.dataset)}",
            "",
            f"{_sentence(self.all)}. Subset `{self.subset_id}`, {self.date}.",
            "",
            *_table("split", self.splits),
        ]
        if self.near_duplicates is not None and self.near_duplicates["pairs"]:
            lines += ["", *_duplicate_lines(self.near_duplicates)]
        if self.other_files:
            names = ", ".join(f"`{_cell(name)}`" for name in self.other_files[:MOST_OTHER_FILES])
            lines += ["", f"Not taken for media: {len(self.other_files):,} files, {names}."]
        for split, shares in self.classes.items():
            if shares:
                lines += ["", f"## Split {_cell(split)} by class", ""]
                lines += _table("class", dict(sorted(shares.items())))
        return "\n".join(lines) + "\n"


def write_coverage(store: str, coverage: Coverage) -> None:
    """Write `coverage.json` and `coverage.md` beside a store's manifest.

    A store that was filled split by split keeps what earlier runs counted of the others.
    """
    path = files.join(store, "coverage.json")
    if files.exists(path):
        try:
            coverage.keep_other_splits(parse_json(files.read(path)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _log.warning("%s is not readable (%r) and is written anew", path, error)
    text = json.dumps(coverage.to_json(), indent=1)
    files.write(path, text.encode())
    files.write(files.join(store, "coverage.md"), coverage.to_markdown().encode())


def read_reasons(store: str) -> dict[str, str]:
    """Return the reason why a media store lacks each clip; empty when it is no media store."""
    path = files.join(store, MANIFEST)
    if not store or not files.exists(path):
        return {}
    try:
        manifest = decode_manifest(files.read(path), path, media=True)
        names = manifest["tables"].get("failures", []) if manifest.get("kind") == "media" else []
        return {
            key: reason
            for name in names
            for key, reason in _read_failures(files.join(store, *name.split("/")))
        }
    except (UsageError, OSError, BeamIOError) as error:
        _log.warning("why clips are missing is not known: %s", error)
        return {}


def _read_failures(uri: str) -> Iterator[tuple[str, str]]:
    """Yield clip key and reason of every failure."""
    table = read_parquet(io.BytesIO(files.read(uri)), ["clip_key", "reason"])
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _duplicate_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many clips are nearly the same, and the first of them."""
    yield (
        f"Near duplicates: {found['pairs']:,} pairs of clips of different videos look or sound "
        f"alike, {found['across_splits']:,} of them in two splits."
    )
    first = found["first"][:MOST_PAIRS]
    yield "; ".join(f"`{_cell(one)}` ~ `{_cell(other)}`" for one, other in first) + "."


def _sentence(share: Share) -> str:
    part = f"{share.present / share.clips:.1%}" if share.clips else "0"
    return f"{share.present:,} of {share.clips:,} clips are present ({part})"


def _table(head: str, shares: Mapping[str, Share]) -> list[str]:
    total: Counter[str] = Counter()
    for share in shares.values():
        total.update(share.missing)
    reasons = [reason for reason, _ in total.most_common()]
    lines = [
        "| " + " | ".join([head, "clips", "present", "%", *reasons]) + " |",
        "|---|" + "--:|" * (3 + len(reasons)),
    ]
    for name, share in shares.items():
        part = f"{100 * share.present / share.clips:.1f}" if share.clips else "-"
        cells = [_cell(name), f"{share.clips:,}", f"{share.present:,}", part]
        cells += [
            f"{share.missing[reason]:,}" if share.missing[reason] else "" for reason in reasons
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cell(text: str) -> str:
    """Return text that cannot break out of a table."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
