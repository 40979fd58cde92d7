"""Videos that come as fragments: the clip is that of the whole file, out of a few of them."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import correlate

from pipelines.jobs.download.fetch.cut import cut_clip
from pipelines.jobs.download.fetch.fragments.dash import listed_rendition
from pipelines.jobs.download.fetch.messages import FetchRequest, FetchResult, Limits
from pipelines.jobs.download.fetch.process import Fetcher
from schemas import KnownError, Reason
from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    read_media,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.hls import (
    FORMS,
    files_of,
    itagged,
    make_chirp,
    make_dash,
    make_hls,
    make_packed,
    run_ffmpeg,
)
from tests.pipelines.jobs.download.server import Fault, Site
from tests.pipelines.jobs.download.test_cut import audio, frames, of, request


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_chirp(tmp_path_factory.mktemp("film") / "film.mp4", 24.0)


@pytest.fixture(scope="module")
def hls(film: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each form of HLS of the film, in a folder."""
    folder = tmp_path_factory.mktemp("hls")
    return {form: make_hls(folder / form, film, form) for form in FORMS}


def fetch(
    site: Site, folder: Path, path: str, start: float, end: float, **limits: float
) -> FetchResult:
    """Fetch a clip from an address of the site, playlists allowed."""
    work = folder / f"work{len(list(folder.iterdir()))}"
    work.mkdir()
    fetcher = Fetcher(folder)
    asked = FetchRequest(
        key="a_clip", video_id="a", start_s=start, end_s=end, source="mirror",
        location=site.address + path, extent="video", folder=str(work),
        limits=Limits(**{"timeout_s": 60.0, "first_pause_s": 0.01, **limits}),  # type: ignore[arg-type]
        hosts=(site.address.removeprefix("http://"),), allow_playlists=True,
    )  # fmt: skip
    try:
        return fetcher.fetch(asked)
    finally:
        fetcher.close()


def same_clip(found: Path, wanted: Path, most_lag: int = 60) -> None:
    """Frames and sound are those of the other clip, but for one encoding."""
    one, other = frames(found), frames(wanted)
    assert len(one) == len(other)
    assert np.abs(one - other).mean() < 2.0
    assert max(np.abs(a - b).mean() for a, b in zip(one, other, strict=True)) < 4.0
    heard, wanted_sound = audio(found), audio(wanted)
    assert abs(len(heard) - len(wanted_sound)) <= 2048
    n = min(len(heard), len(wanted_sound))
    match = correlate(heard[:n], wanted_sound[:n], method="fft")
    lag = int(np.argmax(match)) - (n - 1)
    assert abs(lag) <= most_lag  # samples of 44,100 a second
    power = np.sqrt(np.square(heard[:n]).sum() * np.square(wanted_sound[:n]).sum())
    assert match.max() > 0.9 * power


CUTS = [(form, (9.3, 13.3)) for form in FORMS]
CUTS += [("ts", (0.0, 4.0)), ("ts", (12.0, 15.0)), ("fmp4", (21.5, 24.0)), ("apart", (12.0, 15.0))]


@pytest.fixture(scope="module")
def wholes(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A clip cut out of the whole file, made once."""

    @functools.cache
    def cut(start: float, end: float) -> Path:
        work = tmp_path_factory.mktemp("whole") / "work"
        return cut_clip(request(work, start, end), of(film), work).path

    return cut


@pytest.mark.parametrize(("form", "span"), CUTS)
def test_clip_out_of_fragments_is_that_of_the_whole_file(
    site: Site, hls: dict[str, Path], wholes: Callable[..., Path], tmp_path: Path, form: str,
    span: tuple[float, float],
) -> None:  # fmt: skip
    site.files = files_of(hls[form], "/hls")
    found = fetch(site, tmp_path, "/hls/master.m3u8", *span)
    assert found.facts, (found.reason, found.detail)
    assert found.facts["how"] == "fragments"
    assert found.facts["fetched_bytes"] == sum(one.n_bytes for one in site.asked)
    same_clip(Path(found.path), wholes(*span))
    fragments = [one.path for one in site.asked if "m3u8" not in one.path]
    assert len(fragments) <= 12


def test_clip_across_a_discontinuity(
    site: Site, hls: dict[str, Path], wholes: Callable[..., Path], tmp_path: Path
) -> None:
    """Fragments from 12 s on go by a clock that stands a thousand seconds later."""
    text = (hls["ts"] / "media.m3u8").read_text()
    for number in range(6, 12):
        fragment, other = hls["ts"] / f"media{number}.ts", tmp_path / f"later{number}.ts"
        words = ("-c", "copy", "-output_ts_offset", 1000, "-muxdelay", 0, "-f", "mpegts")
        run_ffmpeg("-copyts", "-i", fragment, *words, other)
        site.files[f"/{other.name}"] = other
        text = text.replace(fragment.name, f"/{other.name}")
    first = "#EXTINF:2.000000,\n/later6.ts"
    text = text.replace(first, f"#EXT-X-DISCONTINUITY\n{first}")
    site.files |= {**files_of(hls["ts"], ""), "/media.m3u8": text.encode()}
    for span in ((10.3, 14.3), (15.0, 18.0)):
        found = fetch(site, tmp_path, "/media.m3u8", *span)
        assert found.facts, (found.reason, found.detail)
        same_clip(Path(found.path), wholes(*span))


def test_sound_without_a_clock_goes_by_the_playlist(
    site: Site, film: Path, wholes: Callable[..., Path], tmp_path: Path
) -> None:
    site.files = files_of(make_packed(tmp_path / "packed", film), "/hls")
    found = fetch(site, tmp_path, "/hls/master.m3u8", 9.3, 13.3)
    assert found.facts, (found.reason, found.detail)
    same_clip(Path(found.path), wholes(9.3, 13.3), most_lag=1200)  # what the encoder puts first
    assert any(path.endswith(".aac") for path in site.clips_asked())


def test_server_without_parts_is_asked_for_the_file_once(
    site: Site, hls: dict[str, Path], tmp_path: Path
) -> None:
    site.files, site.ranges = files_of(hls["range"], "/hls"), False
    found = fetch(site, tmp_path, "/hls/media.m3u8", 9.3, 13.3)
    assert found.facts, (found.reason, found.detail)
    assert site.clips_asked()["/hls/media.ts"] == 2  # once in part, once whole


LINES: dict[str, tuple[str, str, str]] = {
    "other_host": ("media5.ts", "http://localhost:9/media5.ts", "unsafe_input"),
    "other_port": ("media5.ts", "http://127.0.0.1:9/media5.ts", "unsafe_input"),
    "local_file": ("media5.ts", "file:///etc/passwd", "unsafe_input"),
    "data": ("media5.ts", "data:video/mp2t;base64,AAAA", "unsafe_input"),
    "itself": ("media5.ts", "media.m3u8", "unsafe_input"),
    "absent": ("media5.ts", "nowhere.ts", "gone"),
    "live": ("#EXT-X-ENDLIST", "", "not_found"),
    "no_length": ("#EXTINF:2.000000", "#EXTINF:nan", "corrupt"),
    "negative": ("#EXTINF:2.000000", "#EXTINF:-2", "corrupt"),
    "for_ever": ("#EXTINF:2.000000", "#EXTINF:1e300", "corrupt"),
    "words": ("#EXTINF:2.000000", "#EXTINF:two", "corrupt"),
    "longer_than_it_is": ("#EXTINF:2.000000", "#EXTINF:4.000000", "corrupt"),
    "jump": ("media5.ts", "media11.ts", "corrupt"),
    "jump_back": ("media5.ts", "media1.ts", "corrupt"),
    "jump_within": ("media5.ts", "/jumping.ts", "corrupt"),
    "lost_beginning": ("media5.ts", "/late.ts", "corrupt"),
    "lost_end": ("media5.ts", "/early.ts", "corrupt"),
    "shorter_than_it_is": ("#EXTINF:2.000000", "#EXTINF:1.500000", "corrupt"),
    "far_beginning": ("#EXTM3U", '#EXTM3U\n#EXT-X-MAP:URI="http://b/i"', "unsafe_input"),
    "file_beginning": ("#EXTM3U", '#EXTM3U\n#EXT-X-MAP:URI="file:///i"', "unsafe_input"),
    "gap": ("media5.ts", "#EXT-X-GAP\nmedia5.ts", "corrupt"),
    "drm": ("media5.ts", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"\nmedia5.ts', "format"),
    "no_key": ("media5.ts", "#EXT-X-KEY:METHOD=AES-128\nmedia5.ts", "corrupt"),
    "absent_key": ("media5.ts", '#EXT-X-KEY:METHOD=AES-128,URI="k"\nmedia5.ts', "gone"),
    "far_key": ("media5.ts", '#EXT-X-KEY:METHOD=AES-128,URI="file:///k"\nmedia5.ts',
                "unsafe_input"),
    "short_key": ("media5.ts", '#EXT-X-KEY:METHOD=AES-128,URI="/short"\nmedia5.ts', "corrupt"),
    "wrong_key": ("media5.ts", '#EXT-X-KEY:METHOD=AES-128,URI="/key"\nmedia5.ts', "corrupt"),
    "range_beyond": ("media5.ts", "#EXT-X-BYTERANGE:9999999@0\nmedia5.ts", "corrupt"),
    "no_range": ("media5.ts", "#EXT-X-BYTERANGE:many\nmedia5.ts", "corrupt"),
    "page": ("media5.ts", "/page.ts", "format"),
    "not_media": ("media5.ts", "/key", "corrupt"),
    "nothing": ("#EXTINF:2.000000,\nmedia", "# ", "corrupt"),
    "thousands": ("#EXTINF:2.000000,\nmedia5.ts", "#EXTINF:0.0001,\nmedia5.ts\n" * 5000, "corrupt"),
    "list_of_lists": ("#EXTINF:2.000000,\nmedia5.ts",
                      "#EXT-X-STREAM-INF:BANDWIDTH=1\nmaster.m3u8", "unsafe_input"),
}  # fmt: skip
"""Name to what is changed in a playlist, and the reason that it must end with."""
SAID = {
    "short_key": "16 bytes",
    "jump_within": "jumps back",
    "lost_beginning": "no sound from",
    "lost_end": "no sound from",
}


@pytest.fixture(scope="module")
def damaged(
    hls: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes | Path]:
    """The sixth fragment: with the second one behind it, without its first or its last half."""
    folder = tmp_path_factory.mktemp("damaged")
    whole, second = ((hls["ts"] / f"media{number}.ts").read_bytes() for number in (5, 1))
    words = ("-copyts", "-t", 1, "-i", hls["ts"] / "media5.ts", "-c", "copy", "-muxdelay", 0)
    run_ffmpeg(*words, "-f", "mpegts", folder / "early.ts")
    packets = len(whole) // 188  # a packet of MPEG-TS has 188 bytes
    return {
        "/jumping.ts": whole + second,
        "/late.ts": whole[packets // 2 * 188 :],
        "/early.ts": folder / "early.ts",
    }


@pytest.mark.parametrize("name", LINES)
def test_bad_playlist_ends_with_its_reason(
    site: Site,
    hls: dict[str, Path],
    damaged: dict[str, bytes | Path],
    tmp_path: Path,
    name: str,
) -> None:
    old, new, reason = LINES[name]
    text = (hls["ts"] / "media.m3u8").read_text()
    assert old in text
    site.files = files_of(hls["ts"], "/hls")
    site.files |= {"/hls/media.m3u8": text.replace(old, new).encode()}
    site.files |= {"/short": b"key", "/key": b"0123456789abcdef", "/page.ts": b"<html>no</html>"}
    site.files |= damaged
    found = fetch(site, tmp_path, "/hls/master.m3u8", 9.3, 13.3, timeout_s=60.0)
    assert (found.reason, found.facts) == (reason, None), found.detail
    assert len(site.asked) <= 14
    assert "\n" not in found.detail
    assert SAID.get(name, "") in found.detail


def test_endless_answers_cost_bounded_bytes_and_time(
    site: Site, hls: dict[str, Path], tmp_path: Path
) -> None:
    for path, limit in (("/hls/media.m3u8", 32), ("/hls/media5.ts", 1), ("/hls/master.m3u8", 1)):
        site.files, site.sent = files_of(hls["ts"], "/hls"), 0
        site.faults = {path: Fault("endless")}
        most = {"max_bytes": limit * 2**20, "timeout_s": 120.0}
        found = fetch(site, tmp_path, "/hls/master.m3u8", 9.3, 13.3, **most)
        assert found.reason == "too_large", (path, found.detail)
        assert site.sent < (limit + 16) * 2**20  # with what sockets hold
    site.faults = {"/hls/media5.ts": Fault("drip")}
    found = fetch(site, tmp_path, "/hls/master.m3u8", 9.3, 13.3, timeout_s=1.0)
    assert found.reason == "timeout"


def test_broken_fragment_goes_on_and_lost_one_is_of_the_network(
    site: Site, hls: dict[str, Path], tmp_path: Path
) -> None:
    site.files = files_of(hls["ts"], "/hls")
    site.faults = {"/hls/media5.ts": Fault("reset", 1)}
    assert fetch(site, tmp_path, "/hls/master.m3u8", 9.3, 13.3).facts
    for kind in ("reset", "truncation"):
        site.faults = {"/hls/media5.ts": Fault(kind)}
        assert fetch(site, tmp_path, "/hls/master.m3u8", 9.3, 13.3).reason == "network"


def test_video_that_the_site_has_as_hls_alone(
    site: Site, film: Path, hls: dict[str, Path], wholes: Callable[..., Path], tmp_path: Path,
    download: Download,
) -> None:  # fmt: skip
    names = [youtube_id(i) for i in range(3)]
    site.files = {**itagged(hls["apart"], "/apart"), **files_of(hls["aes"], "/aes")}
    site.play_hls(names[0], "/apart/master.m3u8", 24.0)
    site.play_hls(names[1], "/aes/master.m3u8", 24.0)
    site.play(names[2], "/nowhere.mp4", 24.0)  # fragments are fewer bytes than the file
    site.videos[names[2]]["streamingData"]["hlsManifestUrl"] = f"{site.address}/apart/master.m3u8"
    clips = write_clips(tmp_path / "clips", [(name, 9.3, 13.3) for name in names])
    done = download(clips, "--hosts", "127.0.0.1", "--videos-per-hour", 0)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    media = tmp_path / "media"
    for row in read_media(media).values():
        assert (row["how"], row["source"]) == ("fragments", "youtube")
        assert 0 < row["fetched_bytes"] < film.stat().st_size
        same_clip(media / f"{row['clip_key']}.mp4", wholes(9.3, 13.3))
    assert len(read_media(media)) == 3
    assert "/nowhere.mp4" not in site.clips_asked()
    assert sum("/watch/" in one.path for one in site.asked) == 3  # one start a video


def test_file_is_fetched_where_fragments_are_refused_or_the_video_is_short(
    site: Site, film: Path, hls: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    refused, short = youtube_id(0), youtube_id(1)
    site.files = {"/film.mp4": film, **files_of(hls["ts"], "/hls")}
    for name in (refused, short):
        site.play(name, "/film.mp4", 24.0)
        site.videos[name]["streamingData"]["hlsManifestUrl"] = f"{site.address}/hls/master.m3u8"
    site.faults = {"/hls/media5.ts": Fault("403")}
    clips = write_clips(tmp_path / "clips", [(refused, 9.3, 13.3), (short, 0.0, 10.0)])
    done = download(clips, "--hosts", "127.0.0.1", "--videos-per-hour", 0)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    rows = read_media(tmp_path / "media")
    assert {row["how"] for row in rows.values()} == {"cut"}
    size = film.stat().st_size
    assert rows[clip_key(short, 0.0, 10.0)]["fetched_bytes"] < size + 10_000
    assert rows[clip_key(refused, 9.3, 13.3)]["fetched_bytes"] > size + 10_000


def test_playlist_of_a_mirror_is_followed_only_where_it_is_allowed(
    site: Site, hls: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    site.files = files_of(hls["ts"], "/one_9.3_13.3")
    clips = write_clips(tmp_path / "clips", [("one", 9.3, 13.3)])
    more = ("--source", f"{site.address}/{{clip_key}}/master.m3u8")
    assert download(clips, *more).returncode == 1
    (failure,) = read_media(tmp_path / "media", "failures").values()
    assert failure["reason"] == "unsafe_input"
    assert "--allow-playlists" in failure["detail"]
    done = download(clips, *more, "--allow-playlists", "--retry", "unsafe_input")
    assert done.returncode == 1  # 24 s are not the clip that the address names
    (failure,) = read_media(tmp_path / "media", "failures").values()
    assert failure["reason"] == "format"
    site.files = files_of(hls["ts"], "/one")
    source = ("--source", f"{site.address}/{{video_id}}/master.m3u8")
    media = tmp_path / "other"
    done = download(clips, *source, "--allow-playlists", media=media)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    (row,) = read_media(media).values()
    assert (row["how"], row["format_id"]) == ("fragments", "hls")
    folder = ("--source", tmp_path, "--allow-playlists")
    assert "--allow-playlists is for a mirror" in download(clips, *folder).stderr


def test_segments_of_dash_are_fragments_too(
    site: Site, film: Path, wholes: Callable[..., Path], tmp_path: Path, download: Download
) -> None:
    name = youtube_id(0)
    site.files = files_of(make_dash(tmp_path / "dash", film), "/dash")
    site.play(name, "/nowhere.mp4", 24.0)
    address = f"{site.address}/dash/manifest.mpd"
    site.videos[name]["streamingData"] = {"dashManifestUrl": address}
    clips = write_clips(tmp_path / "clips", [(name, 9.3, 13.3)])
    more = ("--hosts", "127.0.0.1", "--youtube-args", "formats=missing_pot")
    done = download(clips, *more, "--videos-per-hour", 0)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    (row,) = read_media(tmp_path / "media").values()
    assert (row["how"], row["format_id"]) == ("fragments", "0+1")
    assert row["fetched_bytes"] < 0.6 * film.stat().st_size
    same_clip(tmp_path / "media" / f"{row['clip_key']}.mp4", wholes(9.3, 13.3))


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ([], Reason.FORMAT),
        ([{"url": "http://a/1"}, {"url": "http://a/2"}], Reason.FORMAT),
        ([{"url": "http://a/1", "duration": -1.0}], Reason.CORRUPT),
        ([{"url": "http://a/1", "duration": 0.0}], Reason.CORRUPT),
        ([{"url": "http://a/1", "duration": 1.0}] * 200_000, Reason.TOO_LARGE),
    ],
)
def test_bad_list_of_segments(listed: list[dict[str, Any]], reason: Reason) -> None:
    with pytest.raises(KnownError) as caught:
        listed_rendition({"fragments": listed})
    assert caught.value.reason is reason
