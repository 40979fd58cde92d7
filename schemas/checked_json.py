"""JSON records that carry a checksum of their own content, and their fields by type.

`manifest.json`, `store.json`, `coverage.json` and the receipts are such records. Records of
version 1 have no checksum; they are read all the same.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

_CHECKSUM = "checksum"
T = TypeVar("T")
_KINDS: dict[Any, str] = {
    str: "a string", int: "a whole number", float: "a number", bool: "true or false",
    dict: "an object", list: "a list",
}  # fmt: skip


def encode_record(content: Mapping[str, Any]) -> bytes:
    """Return a record as JSON with the checksum of its content."""
    plain = json.loads(json.dumps(content))
    return json.dumps({**plain, _CHECKSUM: _checksum(plain)}, indent=1).encode()


def decode_record(data: bytes) -> "Record":
    """Read a record; ValueError when it is no JSON object or was changed since it was written."""
    content = parse_json(data)
    if not isinstance(content, dict):
        raise ValueError(f"it holds {_shown(content)} where an object should be")
    written = content.pop(_CHECKSUM, None)
    if written is not None and written != _checksum(content):
        raise ValueError("its content is not what was written: the checksum differs")
    return Record(content, checked=written is not None)


def parse_json(data: bytes) -> Any:
    """Read JSON; ValueError for what is none, however deep it is nested."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


class Record:
    """A JSON object whose fields are taken with their types checked.

    Every method raises ValueError with one sentence for a field that is missing or of another type.
    """

    def __init__(self, content: dict[str, Any], *, checked: bool = False) -> None:
        self.content = content
        self.checked = checked
        """Whether the record carried a checksum, which was right."""

    def get(self, name: str, kind: type[T], default: T | None = None) -> T:
        """Return a field of type `kind`; `default`, unless None, stands for a missing field."""
        if name not in self.content and default is not None:
            return default
        if name not in self.content:
            raise ValueError(f"it has no {name!r}")
        return _of_kind(self.content[name], kind, repr(name))

    def items(
        self, name: str, kind: type[T], default: tuple[T, ...] | None = None
    ) -> tuple[T, ...]:
        """Return a list whose items are of type `kind`."""
        values = self.get(name, list, None if default is None else list(default))
        return tuple(_of_kind(value, kind, f"an item of {name!r}") for value in values)

    def mapping(
        self, name: str, kind: type[T], default: dict[str, T] | None = None
    ) -> dict[str, T]:
        """Return an object whose values are of type `kind`."""
        values = self.get(name, dict, default)
        return {key: _of_kind(value, kind, f"{name!r} of {key!r}") for key, value in values.items()}


def _of_kind(value: Any, kind: type[T], what: str) -> T:
    is_flag = isinstance(value, bool)
    if kind is float and isinstance(value, int) and not is_flag:
        value = float(value)
    if not isinstance(value, kind) or (is_flag and kind is not bool):
        raise ValueError(f"{what} is {_shown(value)}, should be {_KINDS[kind]}")
    return value


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
