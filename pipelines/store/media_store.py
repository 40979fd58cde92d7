"""The media store: clips as files, their records, and a reason for each clip without a file.

    MEDIA/<clip_key>.mp4            a clip; its sha256 is in table `media`
    MEDIA/media.json                data set and largest height, written before anything else
    MEDIA/journal/unit-<hash>.jsonl one line per clip of a unit that is being fetched (local only)
    MEDIA/media/unit-<hash>.parquet records of a unit
    MEDIA/receipts/unit-<hash>.json the commit, as in a feature store
    MEDIA/manifest.json             written last; beside it coverage.json and coverage.md

When a job is killed, a local store loses only the clips that were being fetched: the next run turns
the journals into receipts. In a bucket, where nothing can be appended to, it loses at most the
units that were being fetched.
"""

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.store import files
from pipelines.store.interrupts import wait_if_ending
from pipelines.store.receipts import Receipt, decode_failure, latest_failures
from pipelines.store.unit_store import UnitStore
from schemas import (
    SCHEMA_VERSION,
    Failure,
    JobError,
    TableName,
    UsageError,
    table_schema,
)
from schemas.checked_json import decode_record, encode_record
from schemas.manifest import check_schema_version

SUFFIX = ".mp4"
OWN_NAMES = (
    "media.json", "manifest.json", "coverage.json", "coverage.md", "report.html", "media",
    "failures", "receipts", "journal",
)  # fmt: skip
"""Files and folders that stand beside the clips in a media store."""


@dataclass(frozen=True)
class Outcome:
    """Result of one attempt at one clip: a record of table `media`, or a failure."""

    key: str
    attempt: int
    row: dict[str, Any] | None = None
    failure: Failure | None = None

    def encode(self) -> bytes:
        """Return the outcome as one line of JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, line: bytes) -> "Outcome":
        """Read an outcome back from `encode`; ValueError for a line that is damaged."""
        record = decode_record(line)
        row, failure = record.content.get("row"), record.content.get("failure")
        if (row is None) == (failure is None):
            raise ValueError("it is neither a record nor a failure")
        return cls(
            record.get("key", str),
            record.get("attempt", int),
            None if row is None else record.get("row", dict),
            None if failure is None else decode_failure(record.get("failure", dict)),
        )


@dataclass(frozen=True)
class MediaState:
    """The state of every clip of a media store."""

    done: frozenset[str]
    """Clips with a file, or whose features are made so that they need none."""
    failed: dict[str, Failure]
    """The latest failure of each other clip that was tried."""
    attempts: Counter[str] = field(default_factory=Counter)
    """Number of times that each clip has been committed, as done or failed."""


class MediaStore(UnitStore):
    """One folder of media, of one data set and one largest height."""

    tables = ("media", "failures")
    identity_name = "media.json"

    def open(self, dataset: str, height: int) -> None:
        """Make the store, or check that it is of this data set and height (else `UsageError`).

        Call it while the store is locked. Units whose records are damaged are forgotten, so that
        their clips are fetched again.
        """
        if files.exists(files.join(self.out, "store.json")):
            raise UsageError(f"{self.out} holds features; give another --media for the clips")
        path = files.join(self.out, self.identity_name)
        wanted = {"schema_version": SCHEMA_VERSION, "dataset": dataset, "height": height}
        if files.exists(path):
            self._check_identity(path, wanted)
        else:
            files.write(path, encode_record(wanted))
        self.forget_damaged()

    def _check_identity(self, path: str, wanted: Mapping[str, Any]) -> None:
        try:
            record = decode_record(files.read(path))
            check_schema_version(record)
            stored = {"dataset": record.get("dataset", str), "height": record.get("height", int)}
        except ValueError as error:
            raise JobError(
                f"{path} is not readable as a media store's ({error}); give another --media"
            ) from None
        for name, option in (("dataset", "--media"), ("height", "--height")):
            if stored[name] != wanted[name]:
                raise UsageError(
                    f"{self.out} holds media of {name} {stored[name]!r}, this job asks for "
                    f"{wanted[name]!r}; give another {option}"
                )

    def put(self, key: str, made: Path) -> None:
        """Move a finished file to the clip's place; it appears whole or not at all."""
        target = files.join(self.out, key + SUFFIX)
        if not files.is_local(self.out):
            files.write(target, made.read_bytes())
            return
        if made.is_symlink() or not _is_ours(made, Path(self.out)):
            files.write(target, made.read_bytes())
        else:
            files.move(made, Path(target))

    def present(self) -> frozenset[str]:
        """Return the keys of the clips whose files are there."""
        names = (path.rsplit("/", 1)[-1] for path in files.list_folder(self.out))
        return frozenset(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))

    def media_state(self, kept: frozenset[str] = frozenset()) -> MediaState:
        """Add up all receipts; `kept` are clips that need no file because features are made.

        A clip that was done and whose file has vanished is neither done nor failed.
        """
        state = self.state()
        done = (state.done & self.present()) | kept
        attempts: Counter[str] = Counter()
        for receipt in state.receipts:
            attempts.update(receipt.done)
            attempts.update(failure.clip_key for failure in receipt.failed)
        return MediaState(done, latest_failures(state.receipts, done), attempts)

    def commit_outcomes(
        self, unit: str, outcomes: Iterable[Outcome], seconds: float, tools: dict[str, str]
    ) -> Receipt:
        """Write a unit's records and its receipt, then drop its journal."""
        results = list(outcomes)
        rows = [result.row for result in results if result.row is not None]
        tables: dict[TableName, pa.Table] = (
            {"media": pa.Table.from_pylist(rows, schema=table_schema("media"))} if rows else {}
        )
        receipt = self.commit(
            unit,
            tables,
            [result.key for result in results if result.row is not None],
            [result.failure for result in results if result.failure is not None],
            {"fetch": seconds},
            tools,
        )
        if files.is_local(self.out):
            self._journal(unit).unlink(missing_ok=True)
        return receipt

    def recover_journals(self) -> int:
        """Turn the journals of killed jobs into receipts; return how many clips that saved."""
        saved = 0
        folder = Path(self.out, "journal")
        for path in sorted(folder.glob("*.jsonl")) if files.is_local(self.out) else []:
            outcomes = list(self.read_journal(path.stem))
            if outcomes and self.receipt(path.stem) is None:
                text = "".join(f"{outcome.key}\t{outcome.attempt}\n" for outcome in outcomes)
                name = f"unit-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
                self.commit_outcomes(name, outcomes, 0.0, {})
                saved += len(outcomes)
            path.unlink(missing_ok=True)
        return saved

    def read_journal(self, unit: str) -> Iterator[Outcome]:
        """Read a unit's journal; a last line that is cut off is skipped."""
        if not files.is_local(self.out) or not self._journal(unit).exists():
            return
        for line in self._journal(unit).read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                return
            with suppress(ValueError):
                yield Outcome.decode(line)

    def append_journal(self, unit: str, outcome: Outcome, lock: threading.Lock) -> None:
        """Append one line to a unit's journal; from now on a kill does not lose this clip."""
        if not files.is_local(self.out):
            return
        path = self._journal(unit)
        path.parent.mkdir(exist_ok=True)
        wait_if_ending()
        with lock, path.open("ab") as journal:
            journal.write(outcome.encode() + b"\n")
            journal.flush()
            os.fsync(journal.fileno())

    def _journal(self, unit: str) -> Path:
        return Path(self.out, "journal", f"{unit}.jsonl")


def _is_ours(path: Path, out: Path) -> bool:
    """Tell whether the file lies in a scratch folder of the store, so that it may be moved."""
    return path.resolve().is_relative_to(out.resolve()) and ".tmp-" in str(path)
