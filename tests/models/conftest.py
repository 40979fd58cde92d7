"""Stores on disk for the tests of the models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.models.samples import StoreWriter


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 66 clips with dense truth in val and test."""
    return StoreWriter().write(tmp_path_factory.mktemp("store"))


@pytest.fixture
def spoiled_store(tmp_path: Path) -> Callable[..., Path]:
    """Function that spoils the rows of a store and writes it."""

    def write(spoil: Callable[[StoreWriter], None], **changes: Any) -> Path:
        writer = StoreWriter()
        spoil(writer)
        return writer.write(tmp_path / "spoiled", **changes)

    return write
