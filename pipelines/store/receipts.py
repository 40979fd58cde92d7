"""Receipts: what each unit did, and the state of a store that follows from all of them."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

from schemas import Failure, Reason

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

    def encode(self) -> bytes:
        """Return the receipt as JSON."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Receipt":
        """Read a receipt back from `encode`."""
        raw = json.loads(data)
        failed = tuple(Failure(**{**f, "reason": Reason(f["reason"])}) for f in raw.pop("failed"))
        names = {name: tuple(raw.get(name, ())) for name in ("done", "replaces")}
        return cls(**{**raw, **names, "failed": failed})


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


def subset_id(keys: Iterable[str]) -> str:
    """Return a hash of the clip keys present, whatever their order."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:16]
