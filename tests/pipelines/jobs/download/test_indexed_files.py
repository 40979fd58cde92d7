"""Files whose index is in front are read in the section of the clip alone, whatever their size."""

from pathlib import Path

import pytest

from pipelines.jobs.download.fetch.cut import cut_clip
from pipelines.jobs.download.fetch.head import starts_with_index
from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    read_media,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.hls import make_chirp, run_ffmpeg
from tests.pipelines.jobs.download.server import Site
from tests.pipelines.jobs.download.test_cut import frames, of, request

SPAN = (40.3, 43.3)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A minute, with the index in front, behind, and in front of fragments."""
    folder = tmp_path_factory.mktemp("films")
    late = make_chirp(folder / "late.mp4", 60.0)
    copies = {
        "front": ("-movflags", "+faststart"),
        "fragments": ("-movflags", "+frag_keyframe+empty_moov+global_sidx+default_base_moof"),
    }
    for name, more in copies.items():
        run_ffmpeg("-i", late, "-c", "copy", *more, folder / f"{name}.mp4")
    return {path.stem: path for path in folder.iterdir()}


def test_section_is_read_where_the_index_is_in_front(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    names = {name: youtube_id(number) for number, name in enumerate(films)}
    site.files = {f"/{name}.mp4": path for name, path in films.items()}
    for name, video in names.items():
        site.play(video, f"/{name}.mp4", 60.0)
    clips = write_clips(tmp_path / "clips", [(video, *SPAN) for video in names.values()])
    done = download(clips, "--hosts", "127.0.0.1", "--videos-per-hour", 0)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    rows = {
        name: read_media(tmp_path / "media")[clip_key(video, *SPAN)]
        for name, video in names.items()
    }
    how = {name: row["how"] for name, row in rows.items()}
    assert how == {"late": "cut", "front": "section", "fragments": "section"}
    size = films["late"].stat().st_size
    assert rows["late"]["fetched_bytes"] > size
    assert rows["front"]["fetched_bytes"] < 0.4 * size
    assert rows["fragments"]["fetched_bytes"] < 0.4 * size
    for name in ("front", "fragments"):
        work = tmp_path / name
        whole = frames(cut_clip(request(work, *SPAN), of(films[name]), work).path)
        found = frames(tmp_path / "media" / f"{clip_key(names[name], *SPAN)}.mp4")
        assert len(found) == len(whole)
        assert abs(found - whole).mean() < 2.0


def test_server_that_sends_no_parts_gives_the_whole_file(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    site.files, site.ranges = {"/front.mp4": films["front"]}, False
    site.play(youtube_id(0), "/front.mp4", 60.0)
    clips = write_clips(tmp_path / "clips", [(youtube_id(0), *SPAN)])
    done = download(clips, "--hosts", "127.0.0.1", "--videos-per-hour", 0)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    (row,) = read_media(tmp_path / "media").values()
    assert row["how"] == "cut"


@pytest.mark.parametrize(
    ("boxes", "found"),
    [
        ((("ftyp", 24), ("moov", 100)), True),
        ((("ftyp", 24), ("free", 8), ("sidx", 50)), True),
        ((("ftyp", 24), ("mdat", 100)), False),
        ((("ftyp", 24), ("mdat", 100), ("moov", 100)), False),
        ((("ftyp", 9000), ("moov", 100)), False),  # not within what was read
        ((("ftyp", 0), ("moov", 100)), False),
        ((), False),
    ],
)
def test_first_boxes_tell_where_the_index_is(
    boxes: tuple[tuple[str, int], ...], found: bool
) -> None:
    head = b"".join(
        size.to_bytes(4, "big") + kind.encode() + bytes(max(0, size - 8)) for kind, size in boxes
    )
    assert starts_with_index(head[:4096]) is found
