"""Files by path or URI."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.media.scratch_room import ScratchRoom
from pipelines.store import files
from pipelines.store.files import list_tree
from schemas import JobError, UsageError
from tests.pipelines.cloud import Cloud, cloud_for_clients


def test_tree_is_listed_without_hidden_folders_and_each_folder_once(tmp_path: Path) -> None:
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("a.mp4", "in/b.mp4", "in/deeper/c.mp4", ".hidden/d.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    (tmp_path / "in" / "dangling.mp4").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.mp4")
    listed = [path.removeprefix(f"{tmp_path}/") for path in list_tree(str(tmp_path))]
    assert listed == ["a.mp4", "in/b.mp4", "in/dangling.mp4", "in/deeper/c.mp4", "pipe.mp4"]


def test_tree_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list_tree(str(tmp_path / "nothing")) == []


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with cloud_for_clients(tmp_path) as here:
        yield here


def test_addresses_are_local_or_of_a_bucket() -> None:
    assert files.is_local("/data/out")
    assert not files.is_local("gs://bucket/out")
    assert files.absolute("file:///data/out") == "/data/out"
    assert files.absolute("gs://bucket/out") == "gs://bucket/out"
    assert files.join("/data", "a", "b") == "/data/a/b"
    assert files.join("gs://bucket/out/", "a", "b") == "gs://bucket/out/a/b"


def test_file_appears_whole_and_nothing_temporary_stays(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deeper" / "a"
    files.write(str(target), b"one")

    def job() -> None:
        with files.create(str(target)) as file:
            file.write(b"half")
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        job()
    assert target.read_bytes() == files.read(str(target)) == b"one"
    assert [path.name for path in target.parent.iterdir()] == ["a"]
    assert files.sizes(str(target.parent)) == {"a": 3}
    assert files.sizes(str(tmp_path / "nothing")) == {}


def test_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match=r"cannot write .*/file/a: .*; make room or choose"):
        files.write(str(tmp_path / "file" / "a"), b"one")


def test_what_is_gone_already_is_removed_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    files.delete([str(tmp_path / "gone"), str(tmp_path / "a")])
    assert not list(tmp_path.iterdir())


def test_objects_of_a_bucket_are_listed_read_and_removed(cloud: Cloud) -> None:
    for name in ("b", "a", "in/c"):
        files.write(f"gs://bucket/out/{name}", name.encode())
    assert files.list_folder("gs://bucket/out") == ["gs://bucket/out/a", "gs://bucket/out/b"]
    assert "gs://bucket/out/in/c" in files.list_tree("gs://bucket/out")
    assert files.sizes("gs://bucket/out") == {"a": 1, "b": 1}
    files.delete(["gs://bucket/out/a", "gs://bucket/out/gone"])
    assert not files.exists("gs://bucket/out/a")
    assert files.read("gs://bucket/out/b") == b"b"


def test_object_is_copied_for_a_while_and_within_its_room(cloud: Cloud, tmp_path: Path) -> None:
    files.write("gs://bucket/out/a", b"12345")
    room = ScratchRoom(tmp_path, most_bytes=6)
    with files.local_copy("gs://bucket/out/a", room) as copy:
        assert (copy.parent, copy.read_bytes()) == (tmp_path, b"12345")
    assert not copy.exists()
    small = ScratchRoom(tmp_path, most_bytes=5, little_room=99)
    with (
        pytest.raises(OSError, match="No space left"),
        files.local_copy("gs://bucket/out/a", small),
    ):
        pass
    assert not copy.exists()
    (tmp_path / "own").touch()
    with files.local_copy(str(tmp_path / "own"), small) as own:
        assert own == tmp_path / "own"
    assert own.exists()


def test_annotations_in_a_bucket_are_fetched_once(cloud: Cloud, tmp_path: Path) -> None:
    files.write("gs://bucket/notes/a.csv", b"x")
    folder = files.local_folder("gs://bucket/notes")
    assert (folder / "a.csv").read_bytes() == b"x"
    assert files.local_folder("gs://bucket/notes") == folder
    assert files.local_folder(str(tmp_path)) == tmp_path
    with pytest.raises(UsageError, match="holds no files"):
        files.local_folder("gs://bucket/empty")


@pytest.mark.parametrize("place", ["local", "bucket"])
def test_nothing_is_committed_before_it_is_known_that_no_signal_came(
    place: str, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "gs://bucket/out/a" if place == "bucket" else str(tmp_path / "a")
    seen: list[bool] = []
    monkeypatch.setattr(files, "wait_if_ending", lambda: seen.append(files.exists(uri)))
    files.write(uri, b"x")
    assert seen == [False]
    assert files.exists(uri)


def test_lists_are_sorted_and_hold_no_folders(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).write_bytes(name.encode() * 3)
    (tmp_path / "folder").mkdir()
    assert files.list_folder(str(tmp_path)) == [str(tmp_path / name) for name in "abc"]
    assert files.sizes(str(tmp_path)) == {"a": 3, "b": 3, "c": 3}
    assert files.list_folder(str(tmp_path / "none")) == []
    assert files.absolute("some/name").startswith("/")
    assert files.exists(str(tmp_path / "a")) is True
    assert files.exists(str(tmp_path / "none")) is False


def test_address_that_no_filesystem_takes_is_named() -> None:
    for ask in (files.exists, files.list_folder, lambda uri: files.write(uri, b"")):
        with pytest.raises(UsageError, match=r"nowhere://x/y cannot be reached \(.*give a local"):
            ask("nowhere://x/y")


def test_reasons_are_one_line_without_the_ends_of_beam() -> None:
    said = "cannot list x\nmore with exceptions None"
    assert files._first_line(OSError(said)) == "cannot list x"
    assert files._first_line(OSError("gone with exceptions None")) == "gone"
    assert files._first_line(ValueError()) == "ValueError"
    assert files._first_line(OSError("x" * 201)) == "x" * 200
