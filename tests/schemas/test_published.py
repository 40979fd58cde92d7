"""Published files: where they are kept, what they must hash to, and how they are fetched."""

import hashlib
import io
import logging
import tarfile
from pathlib import Path

import pytest

from schemas import published
from schemas.published import PublishedFile, cache_folder, fetch, sha256_of, verify
from tests.complaints import refusal

TEXT = b"what was published"
DIGEST = hashlib.sha256(TEXT).hexdigest()


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "home/.cache/earsight"),
        ("linux", {"XDG_CACHE_HOME": "xdg", "LOCALAPPDATA": "local"}, "xdg/earsight"),
        ("darwin", {"XDG_CACHE_HOME": "xdg"}, "home/Library/Caches/earsight"),
        ("win32", {"XDG_CACHE_HOME": "xdg", "LOCALAPPDATA": "local"}, "local/earsight"),
        ("win32", {"XDG_CACHE_HOME": "xdg"}, "home/.cache/earsight"),
    ],
)
def test_cache_is_where_the_platform_has_it(
    platform: str, variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "sys", type("System", (), {"platform": platform}))
    monkeypatch.setattr(Path, "home", lambda: Path("home"))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)


def test_file_is_what_its_hash_or_the_first_digits_of_it_say(tmp_path: Path) -> None:
    (tmp_path / "net").write_bytes(TEXT)
    assert sha256_of(tmp_path / "net") == DIGEST
    for digits in (DIGEST, DIGEST[:8]):
        assert verify(PublishedFile("net", "a", digits), tmp_path) == {"net": DIGEST}
    assert not (tmp_path / "net.sha256").exists()
    other = "0" * 64
    assert refusal(lambda: verify(PublishedFile("net", "http://a", other), tmp_path)) == (
        f"{tmp_path / 'net'} has sha256 {DIGEST}, expected {other} of the published net; delete it "
        "and fetch http://a again"
    )
    assert "expected 01234567... of the published net" in refusal(
        lambda: verify(PublishedFile("net", "http://a", "01234567"), tmp_path)
    )


def test_file_without_a_published_hash_is_trusted_on_first_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, record = PublishedFile("net", "http://a"), tmp_path / "net.sha256"
    (tmp_path / "net").write_bytes(TEXT)
    with caplog.at_level(logging.INFO):
        assert verify(file, tmp_path) == {"net": DIGEST}
    assert record.read_text() == f"{DIGEST}  net\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net", "net.sha256"]
    assert "trusted on first use" in caplog.text
    caplog.clear()
    assert verify(file, tmp_path) == {"net": DIGEST}
    assert not caplog.records
    (tmp_path / "net").write_bytes(b"changed")
    said = refusal(lambda: verify(file, tmp_path))
    assert f"but had {DIGEST} when it was first used; if you trust the change, delete" in said
    assert record.read_text() == f"{DIGEST}  net\n"
    record.write_bytes(b"\xff")
    assert f"{record} cannot be read" in refusal(lambda: verify(file, tmp_path))


def test_folder_is_hashed_file_by_file_and_what_it_lacks_is_named(tmp_path: Path) -> None:
    file = PublishedFile("model", "http://a", holds=("a.bin", "b/c.bin"))
    (tmp_path / "model" / "b").mkdir(parents=True)
    (tmp_path / "model" / "a.bin").write_bytes(TEXT)
    assert refusal(lambda: verify(file, tmp_path)) == (
        f"{tmp_path / 'model'} should hold a.bin, b/c.bin but lacks b/c.bin; unpack http://a there"
    )
    (tmp_path / "model" / "b" / "c.bin").write_bytes(b"")
    empty = hashlib.sha256(b"").hexdigest()
    assert verify(file, tmp_path) == {"model/a.bin": DIGEST, "model/b/c.bin": empty}
    assert (tmp_path / "model.sha256").read_text() == (
        f"{DIGEST}  model/a.bin\n{empty}  model/b/c.bin\n"
    )


def test_folder_that_is_only_read_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net").write_bytes(TEXT)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "only read")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert verify(PublishedFile("net", "http://a"), tmp_path) == {"net": DIGEST}
    assert not (tmp_path / "net.sha256").exists()


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> str:
    """Write a tar and return its address."""
    with tarfile.open(path, "w:gz") as opened:
        for member, data in members:
            member.size = len(data)
            opened.addfile(member, io.BytesIO(data))
    return path.as_uri()


@pytest.mark.parametrize("filters", [True, False], ids=["filter", "no filter"])
def test_archive_is_fetched_and_unpacked_whole(
    filters: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not filters:
        monkeypatch.delattr(tarfile, "data_filter")
    folder = tarfile.TarInfo("sub")
    folder.type = tarfile.DIRTYPE
    folder.mode = 0o755
    address = archive(
        tmp_path / "m.tgz", (tarfile.TarInfo("a"), TEXT), (folder, b""),
        (tarfile.TarInfo("sub/b"), b"b"),
    )  # fmt: skip
    file = PublishedFile("model", address, holds=("a", "sub/b"))
    found = fetch(file, tmp_path / "cache")
    assert found == tmp_path / "cache" / "model"
    assert (found / "a").read_bytes() == TEXT
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["model"]
    (found / "a").write_bytes(b"of another process")
    assert fetch(file, tmp_path / "cache") == found
    assert (found / "a").read_bytes() == b"of another process"
    with pytest.raises(Exception, match="lacks c"):
        fetch(PublishedFile("other", address, holds=("a", "c")), tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["model"]


def link(name: str, target: str) -> tarfile.TarInfo:
    """Return a symbolic link as a member."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize("member", [tarfile.TarInfo("../out"), tarfile.TarInfo("a/../../out"),
                                    tarfile.TarInfo("/out"), link("a", "/etc/passwd")])  # fmt: skip
def test_archive_that_reaches_outside_is_refused_without_the_filter_too(
    member: tarfile.TarInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter")
    address = archive(tmp_path / "m.tgz", (member, b""))
    file = PublishedFile("model", address, holds=("a",))
    said = refusal(lambda: fetch(file, tmp_path / "cache"))
    assert said == f"{address} gave no archive (it holds links, devices or names outside of it)"
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.tgz").write_bytes(TEXT)
    file = PublishedFile("model", (tmp_path / "m.tgz").as_uri(), holds=("a",))
    assert "gave no archive" in refusal(lambda: fetch(file, tmp_path / "cache"))


def test_download_has_a_limit_and_says_what_else_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net").write_bytes(TEXT)
    file = PublishedFile("net", (tmp_path / "net").as_uri(), DIGEST)
    monkeypatch.setattr(published, "MOST_BYTES", len(TEXT))
    assert fetch(file, tmp_path / "a" / "cache").read_bytes() == TEXT
    monkeypatch.setattr(published, "MOST_BYTES", len(TEXT) - 1)
    said = refusal(lambda: fetch(file, tmp_path / "cache", " or go without"))
    assert f"gave more than {len(TEXT) - 1:,} bytes for net; put the file into" in said
    assert said.endswith(f"{tmp_path / 'cache'} by hand or go without")
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.undo()
    wrong = PublishedFile("net", file.address, "0" * 64)
    assert refusal(lambda: fetch(wrong, tmp_path / "cache")).endswith(
        f"of the published net; put the file into {tmp_path / 'cache'} by hand"
    )


def test_limits_of_a_download() -> None:
    assert published.TIMEOUT_S == 60
    assert published.MOST_BYTES == 4 * 1024**3
