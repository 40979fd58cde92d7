"""Receipts: what each unit did, and the state of a store that follows from all of them."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import cached_property
from typing import Any

from schemas import Failure, Reason
from schemas.checked_json import Record, decode_record, encode_record

WARM_UP = "warm-up"
"""Stage of the clips that come first in their process, all their work together."""
_SEPARATOR = " | "


@dataclass(frozen=True)
class Receipt:
    """What one unit did; once it is in the store, the unit is committed."""

    unit: str
    done: tuple[str, ...]
    """Keys of the clips that have rows."""
    failed: tuple[Failure, ...]
    parts: Mapping[str, str]
    """Table name to path under OUT."""
    rows: Mapping[str, int]
    """Table name to number of rows."""
    size: int
    """Bytes of all parts."""
    seconds: Mapping[str, float]
    """Working time by stage, in seconds."""
    provenance: Mapping[str, str]
    """Tools and weights that the worker had."""
    replaces: tuple[str, ...] = ()
    """Units whose rows and failures are in this one; their own receipts no longer count."""
    recipe: str = ""
    """Hash of the recipe; empty in a media store and in receipts of version 1."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Table name to bytes of its part; empty in receipts of version 1."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Table name to sha256 of its part; empty in receipts of version 1."""
    warming: int = 0
    """How many of `done` came first in their process; their time is that of stage `WARM_UP`."""

    @property
    def has_checksums(self) -> bool:
        """Whether size and sha256 of every part are known; not so in receipts of version 1."""
        return self.parts.keys() == self.sha256.keys() == self.sizes.keys()

    def with_part(self, table: str, path: str, size: int, sha256: str) -> "Receipt":
        """Return the receipt with another part in the place of a table's; the rows are the same."""
        parts = {**self.parts, table: path}
        if not self.has_checksums:
            return replace(self, parts=parts)
        sizes, hashes = {**self.sizes, table: size}, {**self.sha256, table: sha256}
        return replace(self, parts=parts, size=sum(sizes.values()), sizes=sizes, sha256=hashes)

    def encode(self) -> bytes:
        """Return the receipt as JSON."""
        return encode_record(asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> "Receipt":
        """Read a receipt back from `encode`; ValueError for what is none."""
        record = decode_record(data)
        receipt = cls(
            unit=record.get("unit", str),
            done=record.items("done", str),
            failed=tuple(decode_failure(raw) for raw in record.items("failed", dict)),
            parts=record.mapping("parts", str),
            rows=record.mapping("rows", int),
            size=record.get("size", int),
            seconds=record.mapping("seconds", float),
            provenance=record.mapping("provenance", str),
            replaces=record.items("replaces", str, ()),
            recipe=record.get("recipe", str, ""),
            sizes=record.mapping("sizes", int, {}),
            sha256=record.mapping("sha256", str, {}),
            warming=record.get("warming", int, 0),
        )
        receipt.check()
        return receipt

    def check(self) -> None:
        """Raise ValueError when the receipt contradicts itself."""
        for table, path in self.parts.items():
            name = path.removeprefix(f"{table}/")
            if not name.startswith(self.unit) or "/" in name or not name.endswith(".parquet"):
                raise ValueError(f"it names {path!r}, which is no part of unit {self.unit!r}")
        if self.rows.keys() != self.parts.keys():
            raise ValueError("its rows are not those of its parts")
        if self.sha256 and not self.has_checksums:
            raise ValueError("it has no checksum of one of its parts")


def decode_failure(raw: dict[str, Any]) -> Failure:
    """Read a failure from a JSON object; ValueError for what is none."""
    record = Record(raw)
    return Failure(
        clip_key=record.get("clip_key", str),
        step=record.get("step", str),
        reason=Reason(record.get("reason", str)),
        detail=record.get("detail", str),
        attempts=record.get("attempts", int),
        at=record.get("at", str),
    )


@dataclass(frozen=True)
class StoreState:
    """The state of every clip of a store, added up from all receipts."""

    receipts: tuple[Receipt, ...]
    replaced: frozenset[str] = frozenset()
    """Units whose receipts are left over: another receipt takes their place."""

    @classmethod
    def of(cls, receipts: Iterable[Receipt]) -> "StoreState":
        """Return the state that follows from the receipts that count, in the order given."""
        every = tuple(receipts)
        replaced = frozenset(unit for receipt in every for unit in receipt.replaces)
        return cls(tuple(receipt for receipt in every if receipt.unit not in replaced), replaced)

    @cached_property
    def done(self) -> frozenset[str]:
        """Keys of clips with rows."""
        return frozenset(key for receipt in self.receipts for key in receipt.done)

    @cached_property
    def failed(self) -> dict[str, Failure]:
        """The latest failure of each clip that has no rows."""
        return latest_failures(self.receipts, self.done)


def latest_failures(receipts: Iterable[Receipt], done: frozenset[str]) -> dict[str, Failure]:
    """Return the failure of the last attempt at each clip that is not among `done`."""
    latest: dict[str, Failure] = {}
    for receipt in receipts:
        for failure in receipt.failed:
            earlier = latest.get(failure.clip_key)
            if failure.clip_key not in done and (
                earlier is None or earlier.attempts < failure.attempts
            ):
                latest[failure.clip_key] = failure
    return latest


def merge_provenance(receipts: Iterable[Receipt]) -> dict[str, str]:
    """Return facts of the workers' machines; where they differ, every value in one string."""
    seen: dict[str, set[str]] = defaultdict(set)
    for receipt in receipts:
        for name, value in receipt.provenance.items():
            seen[name].update(value.split(_SEPARATOR))
    return {name: _SEPARATOR.join(sorted(values)) for name, values in seen.items()}


def receipts_digest(receipts: Iterable[Receipt]) -> str:
    """Return one hash over what receipts commit, whatever their order."""
    lines = sorted(
        json.dumps(
            [
                receipt.unit, receipt.done, [astuple(failure) for failure in receipt.failed],
                dict(receipt.parts), dict(receipt.rows), dict(receipt.sha256),
            ],
            sort_keys=True,
        )
        for receipt in receipts
    )  # fmt: skip
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
