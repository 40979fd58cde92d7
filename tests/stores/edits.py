"""Records of a store changed with a checksum that is right again, and stores as version 1 left."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.checked_json import encode_record

ONLY_IN_VERSION_2 = ("checksum", "recipe", "sizes", "sha256", "receipts_sha256")


def edit_record(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record as a program would that writes something wrong: its checksum is right."""
    content = json.loads(path.read_text())
    content.pop("checksum", None)
    change(content)
    path.write_bytes(encode_record(content))


def as_version_1(store: Path) -> Path:
    """Take everything out of a store's records that version 1 did not write."""
    for path in [*(store / "receipts").glob("*.json"), *store.glob("*.json")]:
        content = json.loads(path.read_text())
        kept = ("recipe",) if path.parent == store else ()
        for name in ONLY_IN_VERSION_2:
            if name not in kept:
                content.pop(name, None)
        path.write_text(json.dumps(content, indent=1))
    return store
