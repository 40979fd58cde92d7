"""The media store: clips as files, their records, and a reason for each that is not there.

    MEDIA/<clip_key>.mp4            a clip; its sha256 stands in table `media`
    MEDIA/media.json                data set and cap, written before anything else
    MEDIA/journal/unit-<hash>.jsonl one line for each clip of a unit that is being done (local only)
    MEDIA/media/unit-<hash>.parquet records of a unit
    MEDIA/receipts/unit-<hash>.json the commit, as in a feature store
    MEDIA/manifest.json             written last; beside it coverage.json and coverage.md

A local store loses only clips that were on their way when a job is killed: the next run turns the
journals into receipts. In a bucket, where nothing can be appended to, it loses at most the units.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.store import files
from pipelines.store.feature_store import FeatureStore, Receipt
from schemas import (
    SCHEMA_VERSION,
    Failure,
    Reason,
    TableName,
    UsageError,
    table_schema,
)

SUFFIX = ".mp4"


@dataclass(frozen=True)
class Outcome:
    """One clip's fate in one try: a record of table `media`, or a failure."""

    key: str
    attempt: int
    row: dict[str, Any] | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Fates:
    """Where every clip of the store stands."""

    done: frozenset[str]
    """Clips with a file, or whose features are made so that they need none."""
    failed: dict[str, Failure]
    """The latest failure of each other clip that was tried."""
    tries: Counter[str] = field(default_factory=Counter)
    """How often each clip has been committed, as done or failed."""


class MediaStore(FeatureStore):
    """One folder of media, of one data set."""

    tables: tuple[TableName, ...] = ("media", "failures")

    def begin(self, dataset: str, height: int) -> None:
        """Make the store, or check that it is of this data set and cap (else `UsageError`)."""
        if files.exists(files.join(self.out, "store.json")):
            raise UsageError(f"{self.out} holds features; give another --media for the clips")
        path = files.join(self.out, "media.json")
        wanted = {"schema_version": SCHEMA_VERSION, "dataset": dataset, "height": height}
        if not files.exists(path):
            files.write(path, json.dumps(wanted, indent=1).encode())
            return
        stored = json.loads(files.read(path))
        for name, option in (("dataset", "--media"), ("height", "--height")):
            if stored.get(name) != wanted[name]:
                raise UsageError(
                    f"{self.out} holds media of {name} {stored.get(name)!r}, this job asks for "
                    f"{wanted[name]!r}; give another {option}"
                )

    def put(self, key: str, made: Path) -> None:
        """Make a finished file the clip's; it appears whole or not at all."""
        target = files.join(self.out, key + SUFFIX)
        if not files.is_local(self.out):
            files.write(target, made.read_bytes())
            return
        if made.is_symlink() or not _is_ours(made, Path(self.out)):
            files.write(target, made.read_bytes())
        else:
            made.replace(target)

    def present(self) -> frozenset[str]:
        """Keys of the clips whose files are there."""
        names = (path.rsplit("/", 1)[-1] for path in files.list_folder(self.out))
        return frozenset(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))

    def fates(self, kept: frozenset[str] = frozenset()) -> Fates:
        """All receipts added up; `kept` are clips that need no file because features are made.

        A clip that was done and whose file has vanished is neither done nor failed.
        """
        standing = self.standing()
        has = self.present() | kept
        done = frozenset(key for key in standing.done if key in has) | kept
        failed: dict[str, Failure] = {}
        tries: Counter[str] = Counter()
        for receipt in standing.receipts:
            tries.update(receipt.done)
            for failure in receipt.failed:
                tries[failure.clip_key] += 1
                old = failed.get(failure.clip_key)
                if failure.clip_key not in done and (
                    old is None or old.attempts < failure.attempts
                ):
                    failed[failure.clip_key] = failure
        return Fates(done, failed, tries)

    def commit_outcomes(
        self, unit: str, outcomes: Iterable[Outcome], seconds: float, tools: dict[str, str]
    ) -> Receipt:
        """Write a unit's records and its receipt, then drop its journal."""
        found = list(outcomes)
        rows = [one.row for one in found if one.row is not None]
        tables: dict[TableName, pa.Table] = (
            {"media": pa.Table.from_pylist(rows, schema=table_schema("media"))} if rows else {}
        )
        receipt = self.commit(
            unit,
            tables,
            [one.key for one in found if one.row is not None],
            [one.failure for one in found if one.failure is not None],
            {"fetch": seconds},
            tools,
        )
        if files.is_local(self.out):
            self._journal(unit).unlink(missing_ok=True)
        return receipt

    def adopt(self) -> int:
        """Turn the journals of killed jobs into receipts; how many clips that saved."""
        saved = 0
        folder = Path(self.out, "journal")
        for path in sorted(folder.glob("*.jsonl")) if files.is_local(self.out) else []:
            outcomes = list(self.journalled(path.stem))
            if outcomes and self.receipt(path.stem) is None:
                text = "".join(f"{one.key}\t{one.attempt}\n" for one in outcomes)
                name = f"unit-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
                self.commit_outcomes(name, outcomes, 0.0, {})
                saved += len(outcomes)
            path.unlink(missing_ok=True)
        return saved

    def journalled(self, unit: str) -> Iterator[Outcome]:
        """What a unit's journal holds; a last line that is cut off is passed over."""
        if not files.is_local(self.out) or not self._journal(unit).exists():
            return
        for line in self._journal(unit).read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                return
            with suppress(ValueError):
                raw = json.loads(line)
                failure = raw.pop("failure")
                if failure:
                    failure = Failure(**{**failure, "reason": Reason(failure["reason"])})
                yield Outcome(**raw, failure=failure)

    def write_journal(self, unit: str, outcome: Outcome, lock: threading.Lock) -> None:
        """Add one line to a unit's journal; from now on a kill does not lose this clip."""
        if not files.is_local(self.out):
            return
        path = self._journal(unit)
        path.parent.mkdir(exist_ok=True)
        with lock, path.open("ab") as journal:
            journal.write(json.dumps(asdict(outcome)).encode() + b"\n")

    def _journal(self, unit: str) -> Path:
        return Path(self.out, "journal", f"{unit}.jsonl")


def _is_ours(path: Path, out: Path) -> bool:
    """Whether the file lies in a scratch folder of the store, so that it may be moved."""
    return path.resolve().is_relative_to(out.resolve()) and ".tmp-" in str(path)
