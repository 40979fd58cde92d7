"""Stores on disk for the tests of the models."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.stores.parsing import ParsingRows


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small nets are faster so, above all when the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 66 clips with dense truth in val and test."""
    return ParsingRows().write(tmp_path_factory.mktemp("store"))


@pytest.fixture
def spoiled_store(tmp_path: Path) -> Callable[..., Path]:
    """Function that spoils the rows of a store and writes it."""

    def write(spoil: Callable[[ParsingRows], None], **changes: Any) -> Path:
        writer = ParsingRows()
        spoil(writer)
        return writer.write(tmp_path / "spoiled", **changes)

    return write
