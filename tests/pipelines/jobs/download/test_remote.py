"""Files of servers that break off, change, lie about versions and lengths, or never end."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.jobs.download.fetch.guard import Allowance, GuardedYoutubeDL
from pipelines.jobs.download.fetch.remote import RangesRefusedError, RemoteFile, RemoteReader
from pipelines.jobs.download.fetch.section import SHIFT_S, copy_section
from pipelines.jobs.download.fetch.verify import read_tracks
from schemas import KnownError, Reason
from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    make_film,
    read_media,
    reasons,
    write_clips,
)
from tests.pipelines.jobs.download.server import Fault, Site, serving

Remote = Callable[..., RemoteFile]


@pytest.fixture
def remote(site: Site) -> Remote:
    """Open a file of the site."""
    ydl = GuardedYoutubeDL({"quiet": True})
    ydl.allowance = Allowance(("127.0.0.1",), 10**8, 60.0)

    def open_remote(path: str, chunk: int = 0) -> RemoteFile:
        return RemoteFile(ydl, site.address + path, {}, chunk=chunk, first_pause_s=0.01)

    return open_remote


def path_of(name: str) -> str:
    return f"/clips/{clip_key(name, 0.0, 3.0)}.mp4"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_broken_download_goes_on_where_it_broke(
    site: Site, films: dict[str, Path], tmp_path: Path, remote: Remote
) -> None:
    body = films["video"].read_bytes()
    site.files["/a.mp4"] = body
    site.faults["/a.mp4"] = Fault("reset", 1)
    remote("/a.mp4").download(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == body
    first, second = site.asked
    assert "range" not in first.headers
    assert second.status == 206  # only the rest was sent
    assert second.headers["if-range"].startswith('"')


@pytest.mark.parametrize("kind", ["other_after_break", "other_part_after_break"])
def test_file_that_changes_in_a_break_is_fetched_from_its_beginning(
    site: Site, films: dict[str, Path], tmp_path: Path, remote: Remote, kind: str
) -> None:
    site.files |= {"/a.mp4": films["video"], "/b.mp4": make_film(tmp_path / "b.mp4", 19.0, rate=20)}
    site.faults["/a.mp4"] = Fault(kind, None, "/b.mp4")
    remote("/a.mp4").download(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_part_of_another_place_is_not_joined(
    site: Site, films: dict[str, Path], tmp_path: Path, remote: Remote
) -> None:
    site.files["/a.mp4"] = films["video"]
    site.faults["/a.mp4"] = Fault("wrong_part_after_break")
    remote("/a.mp4").download(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == films["video"].read_bytes()
    assert len(site.asked) == 3


def test_file_without_a_version_is_never_joined_from_parts(
    site: Site, films: dict[str, Path], tmp_path: Path, remote: Remote
) -> None:
    body = films["video"].read_bytes()
    site.versions = False
    for name, chunk in (("/a.mp4", 0), ("/b.mp4", 50_000)):
        site.files[name] = body
        site.faults[name] = Fault("reset", 1)
        remote(name, chunk).download(tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == body
        last = [asked for asked in site.asked if asked.path == name][-1]
        assert last.status == 200


def test_parts_of_a_fixed_size_are_joined(
    site: Site, films: dict[str, Path], tmp_path: Path, remote: Remote
) -> None:
    body = films["video"].read_bytes()
    site.files["/a.mp4"] = body
    remote("/a.mp4", 100_000).download(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == body
    assert len(site.asked) == -(-len(body) // 100_000)
    assert {asked.status for asked in site.asked} == {206}


def test_resumed_films_that_are_others_end_right(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    other = make_film(tmp_path / "other.mp4", 3.0, rate=20)
    site.files["/other.mp4"] = other
    kinds = {"junk": "junk_after_break", "whole": "other_after_break",
             "part": "other_part_after_break"}  # fmt: skip
    for name, kind in kinds.items():
        site.files[path_of(name)] = films["clip"]
        site.faults[path_of(name)] = Fault(kind, None, "/other.mp4")
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in kinds])
    download(clips, "--source", f"{site.address}/clips/{{clip_key}}.mp4", "--tries", 1)
    assert reasons(tmp_path / "media") == {clip_key("junk", 0.0, 3.0): "corrupt"}
    rows = read_media(tmp_path / "media")
    assert {row["sha256"] for row in rows.values()} == {sha256(other.read_bytes())}


def test_damaged_films_are_never_taken(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    body = films["clip"].read_bytes()
    middle = len(body) // 3
    for name, hole in (("zeros", bytes(3000)), ("noise", sha256(b"x").encode() * 50)):
        site.files[path_of(name)] = body[:middle] + hole + body[middle + len(hole) :]
    long = films["video"].read_bytes()
    middle = len(long) // 2
    site.files["/cut_me.mp4"] = long[:middle] + bytes(20_000) + long[middle + 20_000 :]
    clips = write_clips(tmp_path / "clips", [("zeros", 0.0, 3.0), ("noise", 0.0, 3.0)])
    download(clips, "--source", f"{site.address}/clips/{{clip_key}}.mp4")
    assert set(reasons(tmp_path / "media").values()) == {"corrupt"}
    clips = write_clips(tmp_path / "more", [("cut_me", 8.0, 12.0), ("cut_me", 0.0, 3.0)])
    media = tmp_path / "second"
    download(clips, "--source", f"{site.address}/{{video_id}}.mp4", media=media)
    assert reasons(media) == {"cut_me_8_12": "corrupt"}
    assert read_media(media).keys() == {"cut_me_0_3"}  # the damage is elsewhere


@pytest.mark.parametrize("kind", ["endless", "endless_gzip", "endless_redirect"])
def test_answers_without_an_end_are_too_large(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download, kind: str
) -> None:
    site.files[path_of("one")] = films["clip"]
    site.faults[path_of("one")] = Fault(kind)
    clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0)])
    source = ("--source", f"{site.address}/clips/{{clip_key}}.mp4")
    assert download(clips, *source, "--max-mb", 3, "--tries", 3).returncode == 1
    (failure,) = read_media(tmp_path / "media", "failures").values()
    assert failure["reason"] == "too_large"
    assert "3,145,728 bytes" in failure["detail"]
    assert site.sent < 20 * 2**20  # what a socket may hold beyond the limit
    assert sum(site.clips_asked().values()) == 1  # and it is not tried again


def test_redirect_to_another_port_is_not_followed(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    with serving() as other:
        other.files["/film.mp4"] = films["clip"]
        site.faults[path_of("one")] = Fault("redirect", None, f"{other.address}/film.mp4")
        clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0)])
        source = ("--source", f"{site.address}/clips/{{clip_key}}.mp4")
        download(clips, *source)
        (failure,) = read_media(tmp_path / "media", "failures").values()
        assert failure["reason"] == "unsafe_input"
        port = other.address.rpartition(":")[2]
        assert f"--hosts '127.0.0.1:{port}'" in failure["detail"]
        assert other.asked == []
        download(clips, *source, "--retry", "all", "--hosts", f"127.0.0.1:{port}")
        assert read_media(tmp_path / "media").keys() == {"one_0_3"}


@pytest.mark.parametrize(
    "value", ["Fri, 31 Dec 9999 23:59:59 -0100", "9" * 4000, "-1", "nan", "\xb2"]
)
def test_retry_after_of_any_kind_ends_no_process(
    site: Site, tmp_path: Path, download: Download, value: str
) -> None:
    site.faults[path_of("one")] = Fault("429", None, value)
    clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0)])
    source = ("--source", f"{site.address}/clips/{{clip_key}}.mp4")
    download(clips, *source, "--patience-minutes", 0, "--breaker-after", 1)
    (failure,) = read_media(tmp_path / "media", "failures").values()
    assert failure["reason"] == "rate_limited"


def test_words_of_a_server_are_printable_and_short(
    site: Site, tmp_path: Path, download: Download
) -> None:
    site.faults[path_of("one")] = Fault("words")
    clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0)])
    source = ("--source", f"{site.address}/clips/{{clip_key}}.mp4")
    done = download(clips, *source, "--tries", 1)
    (failure,) = read_media(tmp_path / "media", "failures").values()
    assert failure["reason"] == "network"
    assert "HTTP Error 500" in failure["detail"]
    assert failure["detail"].isprintable()
    assert len(failure["detail"]) <= 10_000
    assert "\x1b" not in done.stdout + done.stderr


def test_reader_reads_what_the_file_holds_wherever_it_seeks(
    site: Site, films: dict[str, Path], remote: Remote
) -> None:
    body = films["video"].read_bytes()
    site.files["/a.mp4"] = body
    site.faults["/a.mp4"] = Fault("reset", 1)
    reader = RemoteReader(remote("/a.mp4"))
    assert reader.read(10) == body[:10]
    for place in (len(body) - 100, 500, 530, len(body) // 2):
        assert reader.seek(place) == place
        assert reader.read(20) == body[place : place + 20]
        assert reader.tell() == place + 20
    assert reader.seek(0, 2) == len(body)
    assert reader.read(10) == b""
    reader.close()


@pytest.mark.parametrize("versions", [True, False])
def test_reader_asks_for_no_more_than_a_part_ahead(
    site: Site,
    films: dict[str, Path],
    remote: Remote,
    monkeypatch: pytest.MonkeyPatch,
    versions: bool,
) -> None:
    body = films["video"].read_bytes()
    site.files["/a.mp4"], site.versions = body, versions
    monkeypatch.setattr("pipelines.jobs.download.fetch.remote._FIRST_PART", 1000)
    reader = RemoteReader(remote("/a.mp4"))
    found = b""
    while block := reader.read(300):
        found += block
    reader.close()
    assert found == body
    asked = [one.headers["range"] for one in site.asked]
    assert asked[:3] == ["bytes=0-999", "bytes=1000-2999", "bytes=3000-6999"]
    reader.seek(50_000)
    reader.read(10)
    assert site.asked[-1].headers["range"] == "bytes=50000-50999"
    until = time.monotonic() + 10  # the server counts what it sent after we have read it
    while not site.asked[-1].n_bytes and time.monotonic() < until:
        time.sleep(0.01)
    assert site.asked[-1].n_bytes == 1000


def test_reader_refuses_a_server_without_parts_and_a_file_that_changes(
    site: Site, films: dict[str, Path], remote: Remote
) -> None:
    site.files["/a.mp4"] = films["video"]
    site.ranges = False
    reader = RemoteReader(remote("/a.mp4"))
    reader.read(10)
    reader.seek(200_000)
    with pytest.raises(RangesRefusedError):
        reader.read(10)
    site.ranges = True
    reader = RemoteReader(remote("/a.mp4"))
    reader.read(10)
    site.files["/a.mp4"] = films["clip"]
    for place in (100_000, 0):
        reader.seek(place)
        with pytest.raises(RangesRefusedError):
            reader.read(10)


def test_section_reads_little_and_keeps_the_times(
    site: Site, tmp_path: Path, remote: Remote
) -> None:
    film = make_film(tmp_path / "long.mp4", 120.0, size="640x480")
    site.files["/a.mp4"] = film
    file = remote("/a.mp4")
    copy_section(RemoteReader(file), 60.5, 63.5, tmp_path / "section.mkv")
    media = read_tracks(tmp_path / "section.mkv", SHIFT_S)
    assert media.video is not None
    assert media.audio is not None
    assert media.video.start_s == pytest.approx(60.0, abs=0.01)  # a key frame every 4 s
    assert 63.5 <= media.video.end_s < 66.0
    assert media.audio.end_s >= 63.5
    assert file._ydl.allowance.used < film.stat().st_size / 4


def test_announced_length_beyond_the_limit_is_refused_before_it_is_read(
    site: Site, films: dict[str, Path], tmp_path: Path, remote: Remote
) -> None:
    site.files["/a.mp4"] = films["video"]
    file = remote("/a.mp4", 1000)
    file._ydl.allowance = Allowance(("127.0.0.1",), 100_000, 60.0)
    with pytest.raises(KnownError) as caught:
        file.download(tmp_path / "a")
    assert caught.value.reason is Reason.TOO_LARGE
    assert file._ydl.allowance.used < 2000
