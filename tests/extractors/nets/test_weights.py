"""Weight files: where they are sought, what they must hash to, what is said when they are not."""

import hashlib
import tarfile
from pathlib import Path

import pytest
from torchvision.models import ResNet152_Weights
from torchvision.models.video import R2Plus1D_18_Weights

from extractors.nets.weights import WEIGHTS, find_weights, missing_weights
from extractors.registry import create
from schemas.failure import UsageError
from schemas.published import PublishedFile, cache_folder
from tests.complaints import refusal

CONTENT = b"some weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A published file, standing at a file address."""
    path = tmp_path / "published.bin"
    path.write_bytes(CONTENT)
    return path


def test_pinned_addresses_are_torchvisions() -> None:
    assert WEIGHTS["resnet152"].address == ResNet152_Weights.IMAGENET1K_V1.url
    assert WEIGHTS["r2plus1d"].address == R2Plus1D_18_Weights.KINETICS400_V1.url
    for name in ("resnet152", "r2plus1d"):
        assert f"-{WEIGHTS[name].sha256}.pth" in WEIGHTS[name].name


def test_fetched_once_then_found(source: Path, own_cache: Path) -> None:
    file = PublishedFile("w.bin", source.as_uri(), DIGEST[:8])
    assert missing_weights(file)
    path, hashes = find_weights(file)
    assert path == own_cache / "weights" / "w.bin"
    assert hashes == {"w.bin": DIGEST}
    assert [p.name for p in path.parent.iterdir()] == ["w.bin"]
    source.unlink()
    assert not missing_weights(file)
    assert find_weights(file) == (path, hashes)


def test_the_given_folder_comes_first(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "w.bin").write_bytes(CONTENT)
    file = PublishedFile("w.bin", source.as_uri(), DIGEST)
    find_weights(file)
    assert find_weights(file, mine)[0] == mine / "w.bin"


def test_an_archive_becomes_a_folder(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(CONTENT)
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "saved_model.pb", "saved_model.pb")
    file = PublishedFile("net", (tmp_path / "model.tar.gz").as_uri(), holds=("saved_model.pb",))
    path, hashes = find_weights(file)
    assert path == own_cache / "weights" / "net"
    assert hashes == {"net/saved_model.pb": DIGEST}
    more = PublishedFile("net", "https://example.org/net", holds=("saved_model.pb", "variables"))
    with pytest.raises(UsageError, match=r"lacks variables; unpack https://example.org/net"):
        find_weights(more)


def test_files_beside_each_other_become_a_folder_whole_or_not_at_all(
    tmp_path: Path, own_cache: Path
) -> None:
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    for name in ("config.json", "sub/weights.bin"):
        (site / name).write_bytes(CONTENT)
    file = PublishedFile("net", f"{site.as_uri()}/", holds=("config.json", "sub/weights.bin"))
    (site / "config.json").rename(site / "later")
    with pytest.raises(UsageError, match=r"net/config.json is missing and could not be downloaded"):
        find_weights(file)
    assert list((own_cache / "weights").iterdir()) == []
    (site / "later").rename(site / "config.json")
    path, hashes = find_weights(file)
    assert path == own_cache / "weights" / "net"
    assert hashes == {"net/config.json": DIGEST, "net/sub/weights.bin": DIGEST}


def test_missing_names_file_address_and_folder(tmp_path: Path, own_cache: Path) -> None:
    nowhere = (tmp_path / "nowhere").as_uri()
    file = PublishedFile("w.bin", nowhere, DIGEST)
    said = refusal(lambda: find_weights(file))
    for part in ("w.bin", nowhere, str(own_cache / "weights"), "--weights seeded"):
        assert part in said
    with pytest.raises(UsageError, match=str(tmp_path / "mine")):
        find_weights(file, tmp_path / "mine")


def test_wrong_hash_names_both_and_keeps_nothing(source: Path, own_cache: Path) -> None:
    file = PublishedFile("w.bin", source.as_uri(), "0badc0de")
    with pytest.raises(UsageError, match=f"{DIGEST}.*0badc0de"):
        find_weights(file)
    assert list((own_cache / "weights").iterdir()) == []


def test_a_tampered_file_is_refused_at_load(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS["r2plus1d"].name).write_bytes(CONTENT)
    with pytest.raises(UsageError, match=r"expected 91a641e6"):
        create("r2plus1d").load("cpu", weights_dir=tmp_path)


def test_unknown_weights_are_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"'sedded' are not known; use pretrained, seeded"):
        create("vggish").load("cpu", "sedded")


def test_a_file_without_a_published_hash_is_trusted_on_first_use(
    source: Path, own_cache: Path
) -> None:
    file = PublishedFile("w.bin", source.as_uri())
    path, hashes = find_weights(file)
    record = own_cache / "weights" / "w.bin.sha256"
    assert record.read_text() == f"{DIGEST}  w.bin\n"  # as `sha256sum -c` reads it
    assert find_weights(file) == (path, hashes)
    path.write_bytes(b"other weights")
    said = refusal(lambda: find_weights(file))
    assert DIGEST in said
    assert f"if you trust the change, delete {record}" in said
    path.unlink()  # a server that gives something else now is refused too
    source.write_bytes(b"other weights")
    assert "when it was first used" in refusal(lambda: find_weights(file))
    record.unlink()
    assert find_weights(file)[1] == {"w.bin": hashlib.sha256(b"other weights").hexdigest()}


def test_every_file_of_a_model_is_remembered(tmp_path: Path) -> None:
    folder = tmp_path / "vggish"
    for name in WEIGHTS["vggish"].holds:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(CONTENT)
    find_weights(WEIGHTS["vggish"], tmp_path)
    (folder / "variables" / "variables.index").write_bytes(b"other")
    assert "when it was first used" in refusal(lambda: find_weights(WEIGHTS["vggish"], tmp_path))


def test_published_digits_need_no_record(source: Path, own_cache: Path) -> None:
    find_weights(PublishedFile("w.bin", source.as_uri(), DIGEST[:8]))
    assert [path.name for path in (own_cache / "weights").iterdir()] == ["w.bin"]
