"""Downloads of annotation files, against a server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from schemas import UsageError
from schemas.manifests import DATASETS, reader
from schemas.manifests.sources import SOURCES, fetch_annotations
from schemas.published import PublishedFile, sha256_of

TEXT = b"filename\tevent_labels\n"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Address of a server that has one file, `list.csv`."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "list.csv").write_bytes(TEXT)
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def offer(monkeypatch: pytest.MonkeyPatch, address: str, data: bytes = TEXT) -> None:
    """Make `list.csv` at `address`, with the hash of `data`, the only file of llp."""
    source = PublishedFile("list.csv", address, hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(SOURCES, "llp", (source,))


def test_a_file_is_fetched_once_and_then_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    offer(monkeypatch, address + "list.csv")
    folder = fetch_annotations("llp", tmp_path / "cache")
    assert folder == tmp_path / "cache" / "llp"
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("list.csv", TEXT)]
    offer(monkeypatch, "http://127.0.0.1:9/list.csv")  # nothing answers there
    assert fetch_annotations("llp", tmp_path / "cache") == folder


def test_a_spoilt_file_is_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    (tmp_path / "llp").mkdir()
    (tmp_path / "llp" / "list.csv").write_bytes(b"spoilt")
    offer(monkeypatch, address + "list.csv")
    assert (fetch_annotations("llp", tmp_path) / "list.csv").read_bytes() == TEXT


def test_another_content_is_refused_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    offer(monkeypatch, address + "list.csv", b"other")
    with pytest.raises(UsageError, match=r"list.csv has sha256 .* of the published list.csv"):
        fetch_annotations("llp", tmp_path)
    assert list((tmp_path / "llp").iterdir()) == []


@pytest.mark.parametrize(
    ("place", "reason"), [("absent.csv", "File not found"), ("http://127.0.0.1:9/x", "refused")]
)
def test_no_answer_is_one_sentence_with_file_address_and_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, place: str, reason: str
) -> None:
    where = place if place.startswith("http") else address + place
    offer(monkeypatch, where)
    with pytest.raises(UsageError, match=reason) as caught:
        fetch_annotations("llp", tmp_path)
    assert f"list.csv is missing and could not be downloaded from {where}" in str(caught.value)
    assert f"put the file into {tmp_path / 'llp'} by hand" in str(caught.value)
    assert list((tmp_path / "llp").iterdir()) == []


def test_a_file_without_address_is_put_there_by_hand(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"kinetics-400_val.csv .* has no address"):
        fetch_annotations("kinetics-instruments", tmp_path)


@pytest.mark.parametrize("dataset", ["demo", "folder", "x"])
def test_data_sets_without_published_files(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"'{dataset}' has no published annotation files"):
        fetch_annotations(dataset, tmp_path)


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot be made"):
        fetch_annotations("llp", tmp_path / "file")


def test_every_data_set_says_where_its_files_come_from() -> None:
    assert all(reader(dataset).HOME for dataset in DATASETS)
    assert all(
        source.address.startswith("https://") and source.address.endswith(source.name)
        for dataset, files in SOURCES.items() for source in files
        if dataset != "kinetics-instruments"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "folder"),
    [("llp", "llp"), ("audioset", "audioset"), ("dcase2017", "dcase2017_task4"), ("ave", "ave"),
     ("kinetics-instruments", "kinetics")],
)  # fmt: skip
def test_known_hashes_are_those_of_the_published_files(
    shared: Path, dataset: str, folder: str
) -> None:
    for source in SOURCES[dataset]:
        assert sha256_of(shared / "annotations" / folder / source.name) == source.sha256
