"""Stores on disk and trained runs for the tests of the models."""

import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from models import train
from schemas.machine.ffmpeg import ffmpeg_binary
from tests.stores.bags import BAG_RECIPE, write_bag_store
from tests.stores.parsing import ParsingRows


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small nets are faster so, and equal to the last digit, in fixtures of modules as in tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Loud(logging.Handler):
    """Raises on what a page logs: a training goes on without its page, its test does not."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


@pytest.fixture(scope="session", autouse=True)
def loud_pages() -> Iterator[logging.Handler]:
    """A page that cannot be written fails the test of its training."""
    handler = Loud(logging.ERROR)
    logging.getLogger("models.pages").addHandler(handler)
    yield handler
    logging.getLogger("models.pages").removeHandler(handler)


@pytest.fixture
def quiet_pages(loud_pages: logging.Handler) -> Iterator[Callable[[], None]]:
    """Function after which a page may fail in this test."""
    yield lambda: loud_pages.setLevel(logging.CRITICAL + 1)
    loud_pages.setLevel(logging.ERROR)


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


@pytest.fixture(scope="session")
def parsing_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of han on features of a full recipe."""
    store = ParsingRows().write(tmp_path_factory.mktemp("store"), recipe=BAG_RECIPE)
    return trained(tmp_path_factory, "han", store, "--epochs", 4)


@pytest.fixture(scope="session")
def instances_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two_stream that has learned which boxes and segments belong to which class."""
    store = write_bag_store(tmp_path_factory.mktemp("store"))
    options = ("--learning-rate", 0.01, "--hidden", 16, "--batch-size", 8, "--dropout", 0.2)
    return trained(tmp_path_factory, "two_stream", store, "--epochs", 12, *options)


@pytest.fixture(scope="session")
def components_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of ncp_mil over components of the audio."""
    store = write_bag_store(tmp_path_factory.mktemp("store"))
    options = ("--learning-rate", 0.01, "--hidden", 16)
    return trained(tmp_path_factory, "ncp_mil-audio", store, "--epochs", 20, *options)


def trained(
    factory: pytest.TempPathFactory, experiment: str, store: Path, *options: object
) -> Path:
    folder = factory.mktemp("runs") / experiment
    arguments = (experiment, "--features", store, "--run", folder, *options)
    train.main([str(argument) for argument in arguments])
    return folder


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A media file of one second with video and audio."""
    path = tmp_path_factory.mktemp("media") / "film.mp4"
    inputs = ("testsrc2=size=160x120:rate=8:duration=1", "sine=frequency=440:duration=1")
    sources = [word for source in inputs for word in ("-f", "lavfi", "-i", source)]
    command = [ffmpeg_binary(), "-v", "error", "-nostdin", *sources, "-pix_fmt", "yuv420p"]
    subprocess.run([*command, "-threads", "1", str(path)], check=True)
    return path
