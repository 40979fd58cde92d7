"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

from tests.places import ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips, annotations and golden numbers, or a skip that says so."""
    folder = Path(os.environ.get("EARSIGHT_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set EARSIGHT_SHARED")
    return folder
