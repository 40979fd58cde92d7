"""Near copies of a clip are found by how they look and sound, and the coverage names them."""

import json
from pathlib import Path

import pytest

from pipelines.jobs.download.duplicates.near_duplicates import find_near_duplicates
from pipelines.jobs.download.duplicates.perceptual_hash import hash_clip
from tests.pipelines.conftest import Beam
from tests.pipelines.jobs.download.conftest import read_media
from tests.pipelines.jobs.download.hls import make_chirp, run_ffmpeg


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two films, a small and poor copy of the first, and one of which nothing can be told."""
    folder = tmp_path_factory.mktemp("films")
    one = make_chirp(folder / "one.mp4", 3.0)
    poor = ("-vf", "scale=96:-2,fps=12", "-crf", 35, "-b:a", "48k")
    run_ffmpeg("-i", one, *poor, folder / "copy.mp4")
    other = ("-f", "lavfi", "-i", "mandelbrot=size=160x120", "-f", "lavfi", "-i", "anoisesrc")
    run_ffmpeg(*other, "-t", 3, "-pix_fmt", "yuv420p", "-shortest", folder / "other.mp4")
    blank = ("-f", "lavfi", "-i", "color=black:size=160x120", "-f", "lavfi", "-i", "anullsrc")
    for name in ("blank", "blank_too"):
        run_ffmpeg(*blank, "-t", 3, "-pix_fmt", "yuv420p", folder / f"{name}.mp4")
    return {path.stem: path for path in sorted(folder.iterdir())}


def test_copies_are_near_and_others_are_not(films: dict[str, Path]) -> None:
    hashes = {name: hash_clip(path) for name, path in films.items()}
    assert hashes["blank"] == "0" * 80 + "-" + "0" * 16
    names = {name: name for name in films}
    found = find_near_duplicates(hashes, names, {"copy": "test"})
    assert found.pairs == found.across_splits == (("copy", "one"),)
    assert find_near_duplicates(hashes, names, {}).across_splits == ()
    same_video = names | {"copy": "one"}
    assert find_near_duplicates(hashes, same_video, {}).pairs == ()
    assert find_near_duplicates({}, {}, {}).pairs == ()
    heard = "0" * 80 + hashes["one"][80:]  # the same tone, and nothing to see
    assert find_near_duplicates({"a": heard, "b": heard}, {"a": "a", "b": "b"}, {}).pairs == ()


def test_coverage_names_clips_that_splits_share(
    films: dict[str, Path], tmp_path: Path, beam: Beam
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    labels = ["file,labels,split"]
    for split, name in (("train", "one"), ("test", "copy"), ("test", "other")):
        (source / f"{name}.mp4").write_bytes(films[name].read_bytes())
        labels.append(f"{name}.mp4,Dog,{split}")
    (source / "labels.csv").write_text("\n".join([*labels, ""]))
    media = tmp_path / "media"
    words = ("run", "download", "--dataset", "folder", "--annotations", source, "--source", source)
    done = beam(*words, "--media", media, "--parallel", 1)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(len(row["phash"]) == 97 for row in read_media(media).values())
    found = json.loads((media / "coverage.json").read_text())["near_duplicates"]
    assert found == {"pairs": 1, "across_splits": 1, "first": [["copy", "one"]]}
    page = (media / "coverage.md").read_text()
    assert "1 pairs of clips of different videos look or sound alike, 1 of them" in page
    assert "`copy` ~ `one`" in page
