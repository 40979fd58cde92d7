"""Fixtures of the tests of records and annotation readers."""

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[dict[str, str | bytes]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the given files, by name, into one folder."""

    def put(files: dict[str, str | bytes]) -> Path:
        for name, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            (tmp_path / name).write_bytes(data)
        return tmp_path

    return put
