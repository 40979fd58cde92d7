"""Media that a lab has already come out of folders, tar files and Parquet files alike."""

import hashlib
import io
import itertools
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.manifests import read_manifest
from tests.pipelines.conftest import Beam
from tests.pipelines.jobs.download.conftest import (
    Download,
    counts,
    make_film,
    read_media,
    reasons,
    write_clips,
)

CLIPS = [("one", 0.0, 3.0), ("two", 5.0, 8.0), ("three", 4.0, 7.0), ("absent", 0.0, 3.0)]
"""`one` and `two` lie there as clips, `three` as a whole video."""


def as_folder(films: dict[str, Path], at: Path) -> Path:
    at.mkdir()
    (at / "one_0_3.mp4").write_bytes(films["clip"].read_bytes())
    (at / "two_5_8.mp4").write_bytes(films["clip"].read_bytes())
    (at / "three.mp4").write_bytes(films["video"].read_bytes())
    (at / "readme.txt").write_text("not media")
    return at


def as_tar(films: dict[str, Path], at: Path) -> Path:
    at.mkdir()
    folder = as_folder(films, at / "raw")
    with tarfile.open(at / "part0.tar", "w") as first:
        first.add(folder / "one_0_3.mp4", "shard/one_0_3.mp4")
        first.add(folder / "readme.txt", "readme.txt")
    with tarfile.open(at / "part1.tar", "w") as second:
        second.add(folder / "two_5_8.mp4", "../../two_5_8.mp4")
        second.add(folder / "three.mp4", "three.mp4")
        link = tarfile.TarInfo("absent_0_3.mp4")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        second.addfile(link)
    return at


def as_hugging_face(films: dict[str, Path], at: Path) -> Path:
    folder = as_folder(films, at)
    rows = [
        {"video": {"bytes": (folder / name).read_bytes(), "path": name}, "label": 1}
        for name in ("one_0_3.mp4", "two_5_8.mp4", "three.mp4")
    ]
    rows.append({"video": {"bytes": None, "path": None}, "label": 0})
    pq.write_table(pa.Table.from_pylist(rows), at.with_suffix(".parquet"), row_group_size=2)
    return at.with_suffix(".parquet")


def as_binary_column(films: dict[str, Path], at: Path) -> Path:
    folder = as_folder(films, at)
    names = ("one_0_3", "two_5_8", "three")
    table = pa.table(
        {"clip_key": names, "media": [(folder / f"{name}.mp4").read_bytes() for name in names]}
    )
    pq.write_table(table, at.with_suffix(".parquet"))
    return at.with_suffix(".parquet")


@pytest.mark.parametrize("make", [as_folder, as_tar, as_hugging_face, as_binary_column])
def test_every_source_gives_the_same_clips(
    films: dict[str, Path], tmp_path: Path, download: Download, make: object
) -> None:
    source = make(films, tmp_path / "source")  # type: ignore[operator]
    clips = write_clips(tmp_path / "clips", CLIPS)
    done = download(clips, "--source", source)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = read_media(tmp_path / "media")
    digest = hashlib.sha256(films["clip"].read_bytes()).hexdigest()
    assert rows["one_0_3"]["sha256"] == rows["two_5_8"]["sha256"] == digest
    assert (rows["two_5_8"]["how"], rows["two_5_8"]["real_start_s"]) == ("as_is", 5.0)
    assert (rows["three_4_7"]["how"], rows["three_4_7"]["shorter"]) == ("cut", False)
    assert reasons(tmp_path / "media") == {"absent_0_3": "not_found"}
    stored = (tmp_path / "media" / "three_4_7.mp4").read_bytes()
    assert hashlib.sha256(stored).hexdigest() == rows["three_4_7"]["sha256"]
    assert rows["one_0_3"]["yt_dlp"] is None  # nothing was asked of a site
    assert not list((tmp_path / "media").glob(".tmp-*"))


def test_missing_clip_that_arrives_later_is_taken(
    films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    source = as_folder(films, tmp_path / "source")
    clips = write_clips(tmp_path / "clips", CLIPS)
    assert download(clips, "--source", source).returncode == 0
    assert "Nothing was left" in download(clips, "--source", source).stdout
    (source / "absent.mp4").write_bytes(films["clip"].read_bytes())
    assert download(clips, "--source", source).returncode == 0
    assert counts(tmp_path / "media")["clips_failed"] == 0


def test_link_out_of_the_source_is_refused(
    films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    source = as_folder(films, tmp_path / "source")
    (source / "absent_0_3.mp4").symlink_to(films["clip"])
    clips = write_clips(tmp_path / "clips", CLIPS)
    assert download(clips, "--source", source).returncode == 0
    assert reasons(tmp_path / "media") == {"absent_0_3": "unsafe_input"}


def test_source_is_left_as_it_was(
    films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    source = as_folder(films, tmp_path / "source")
    before = {path.name: path.stat().st_mtime_ns for path in source.iterdir()}
    assert download(write_clips(tmp_path / "clips", CLIPS), "--source", source).returncode == 0
    assert before == {path.name: path.stat().st_mtime_ns for path in source.iterdir()}


def test_packed_tar_and_empty_folder_are_named(tmp_path: Path, download: Download) -> None:
    clips = write_clips(tmp_path / "clips", CLIPS)
    packed = tmp_path / "packed.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("one_0_3.mp4"), io.BytesIO())
    (tmp_path / "empty").mkdir()
    for source, said in ((packed, "packed"), (tmp_path / "empty", "holds no media"),
                         (tmp_path / "nowhere", "is not there")):  # fmt: skip
        done = download(clips, "--source", source)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_folder_data_set_from_a_folder(films: dict[str, Path], tmp_path: Path, beam: Beam) -> None:
    source = as_folder(films, tmp_path / "source")
    make_film(source / "song.wav", 2.0, "-vn", "-c:a", "pcm_s16le")
    words = ("run", "download", "--dataset", "folder", "--source", source)
    done = beam(*words, "--media", tmp_path / "media", "--state", tmp_path / "state")
    assert done.returncode == 0, done.stderr[-2000:]
    rows = read_media(tmp_path / "media")
    assert rows.keys() == {"one_0_3", "two_5_8", "three", "song"}
    assert rows["three"]["how"] == "as_is"
    assert rows["song"]["video_codec"] is None
    assert abs(rows["song"]["duration_s"] - 2.0) <= 0.2


def test_ave_is_not_cut_out_of_videos(shared: Path, tmp_path: Path, beam: Beam) -> None:
    words = ("run", "download", "--dataset", "ave", "--annotations", shared / "annotations/ave")
    done = beam(*words, "--media", tmp_path / "media")
    assert done.returncode == 2
    assert "do not say where in its YouTube video a clip starts" in done.stderr


def test_ave_comes_from_its_authors_files(
    shared: Path, films: dict[str, Path], tmp_path: Path, beam: Beam
) -> None:
    annotations = shared / "annotations/ave"
    first, second = itertools.islice(read_manifest("ave", annotations), 2)
    source = tmp_path / "source"
    source.mkdir()
    make_film(source / f"{first.video_id}.mp4", 10.0, size="160x120")
    make_film(source / f"{second.video_id}.mp4", 30.0, size="160x120")
    words = ("run", "download", "--dataset", "ave", "--annotations", annotations, "--limit", 2)
    done = beam(*words, "--source", source, "--media", tmp_path / "media")
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(read_media(tmp_path / "media")) == {first.key}
    assert reasons(tmp_path / "media") == {second.key: "format"}
