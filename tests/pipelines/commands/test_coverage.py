"""Which clips two labs share, and files that name clips: written, read, refused."""

from pathlib import Path

import numpy as np
import pytest

from models.data.clips import open_clips
from models.data.splits import only
from schemas import UsageError
from schemas.manifest import subset_id
from schemas.manifests.subset import read_subset
from tests.pipelines.conftest import Beam, make_clip
from tests.stores.parsing import ParsingRows


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two stores: the second lacks ten clips of train, and has two that the first has not."""
    folder = tmp_path_factory.mktemp("stores")
    rows = ParsingRows()
    first = ParsingRows().write(folder / "first")
    for row in rows.clips + rows.snippets:
        for number in range(2):
            row["clip_key"] = row["clip_key"].replace(f"val0{number}_", f"new0{number}_")
    rows.clips = rows.clips[10:]
    kept = {row["clip_key"] for row in rows.clips}
    rows.snippets = [row for row in rows.snippets if row["clip_key"] in kept]
    rows.events = [row for row in rows.events if row["clip_key"] in kept]
    return first, rows.write(folder / "second")


def test_two_labs_learn_what_they_share(
    stores: tuple[Path, Path], tmp_path: Path, beam: Beam
) -> None:
    shared = tmp_path / "shared.txt"
    done = beam("coverage", "--compare", *stores, "--write", shared)
    assert done.returncode == 0, done.stderr
    rows = [line.replace("│", " ").split() for line in done.stdout.splitlines()]
    assert ["train", "30", "10", "0"] in rows
    assert ["val", "10", "2", "2"] in rows
    assert ["all", "54", "12", "2"] in rows
    assert "shared: 54 of 68 clips, 79.4%" in done.stdout
    assert "new00_0_10" in done.stdout
    keys = read_subset(shared)
    assert len(keys) == 54
    assert subset_id(keys) in shared.read_text()
    again = beam("coverage", "--compare", stores[0], shared)
    assert "54" in again.stdout
    assert again.returncode == 0
    alone = beam("coverage", stores[0])
    assert ["all", "66"] in [line.replace("│", " ").split() for line in alone.stdout.splitlines()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no clip"),
        ("# only a comment\n\n", "names no clip"),
        ("a_0_10\tb\n", "line 1: expected one clip key"),
        ("x" * 5000, "line 1: expected one clip key"),
        ("a\x1b[2J\n", "line 1"),
        (b"\xff\xfe\x00", "line 1"),
    ],
)
def test_bad_subset_file_is_one_sentence(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = tmp_path / "subset.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=said):
        read_subset(path)


def test_wrong_calls_say_what_is_wrong(
    stores: tuple[Path, Path], tmp_path: Path, beam: Beam
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("nobody_0_10\n")
    for words, said in (
        ((), "takes one store"),
        ((stores[0], "--compare", *stores), "takes one store"),
        ((tmp_path / "nowhere",), "holds no manifest.json"),
        (("--compare", stores[0], other, "--write", tmp_path / "no.txt"), "no clip is shared"),
        ((stores[0], "--write", tmp_path / "no" / "where.txt"), "cannot be written"),
    ):
        done = beam("coverage", *words)
        assert done.returncode == 2, said
        assert said in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "no.txt").exists()


def test_jobs_take_only_the_subset(tmp_path: Path, beam: Beam) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    media.mkdir()
    for name in "abc":
        make_clip(media / f"{name}.mp4", 1.0)
    subset = tmp_path / "subset.txt"
    subset.write_text("# two of three\na\nc\n")
    words = ("run", "features", "--dataset", "folder", "--media", media, "--out", out)
    more = ("--extractors", "logmel", "--subset", subset)
    done = beam(*words, *more)
    assert done.returncode == 0, done.stderr[-2000:]
    both = beam("coverage", out)
    assert f"subset {subset_id(['a', 'c'])}" in both.stdout
    store = tmp_path / "store"
    fetched = ("run", "download", "--dataset", "folder", "--source", media, "--media", store)
    subset.write_text("nobody\n")
    done = beam(*fetched, "--subset", subset)
    assert done.returncode == 2
    assert "that --subset names" in done.stderr
    subset.write_text("b\n")
    done = beam(*fetched, "--subset", subset)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in store.glob("*.mp4")] == ["b.mp4"]


def test_training_takes_only_the_subset(stores: tuple[Path, Path]) -> None:
    clips = open_clips(stores[0], ("vggish",))
    keys = {"train03_0_10", "train07_0_10", "test01_0_10", "nobody_0_10"}
    found = only(clips, keys)
    assert {key for key, split in zip(found.keys, found.splits, strict=True) if split} == (
        keys - {"nobody_0_10"}
    )
    assert found.manifest.subset_id == subset_id(keys - {"nobody_0_10"})
    assert np.array_equal(clips.rows("train").numpy()[[3, 7]], found.rows("train").numpy())
    with pytest.raises(UsageError, match="none of the 1 clips that --subset names"):
        only(clips, {"nobody_0_10"})
