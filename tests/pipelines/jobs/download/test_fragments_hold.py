"""What holds for files holds for fragments: kills, pace, breaker, faults, hostile names."""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from schemas import Reason
from tests.pipelines.conftest import Beam
from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    counts,
    read_media,
    reasons,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.hls import files_of, make_chirp, make_dash, make_hls
from tests.pipelines.jobs.download.server import Asked, Fault, Site
from tests.pipelines.jobs.download.test_faults import ALWAYS, PASSING
from tests.pipelines.jobs.download.test_fragments import fetch
from tests.pipelines.jobs.download.test_hostile import fits_a_line, hostile_names
from tests.pipelines.jobs.download.test_job import kill_and_resume

SPAN = (4.0, 7.0)
"""Of twelve seconds in fragments of two: the third and the fourth, and the first for its clock."""
HOME = ("--hosts", "127.0.0.1")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds."""
    return make_chirp(tmp_path_factory.mktemp("film") / "film.mp4", 12.0)


@pytest.fixture(scope="module")
def hls(film: Path) -> Path:
    """The film in six fragments."""
    return make_hls(film.with_name("ts"), film, "ts")


@pytest.fixture(scope="module")
def apart(film: Path) -> Path:
    """The film in fragments of picture and of sound."""
    return make_hls(film.with_name("apart"), film, "apart")


@pytest.fixture(scope="module")
def aes(film: Path) -> Path:
    """The film in encrypted fragments."""
    return make_hls(film.with_name("aes"), film, "aes")


@pytest.fixture
def plugins_everywhere(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs in processes of their own turn to the server too."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


def serve(site: Site, hls: Path, names: list[str], folder: Path) -> Path:
    """Serve each video as a playlist of its own; a clip of each."""
    for name in names:
        site.files |= files_of(hls, f"/hls/{name}")
        site.play_hls(name, f"/hls/{name}/master.m3u8", 12.0)
    return write_clips(folder, [(name, *SPAN) for name in names])


def starts(site: Site) -> list[Asked]:
    """The requests that begin a video."""
    return [one for one in site.asked if "/watch/" in one.path]


def fragments(site: Site) -> list[Asked]:
    """The requests for fragments."""
    return [one for one in site.asked if one.path.endswith(".ts")]


def kill_fragments(
    site: Site, hls: Path, folder: Path, beam: Beam, *, kills: int, n: int, within_s: float
) -> dict[str, int]:
    """Kill a job on so many videos again and again; nothing that stands is asked for again."""
    names = [youtube_id(i) for i in range(n)]
    clips = serve(site, hls, names, folder / "clips")
    more = (*HOME, "--videos-per-hour", "0", "--unit-size", "4")
    found = kill_and_resume(
        site, clips, "youtube", folder, beam, kills=kills, n=n, within_s=within_s, more=more
    )
    rows = read_media(folder / "media").values()
    assert {row["how"] for row in rows} == {"fragments"}
    return {**found, "starts": len(starts(site)), "fragments": len(fragments(site))}


@pytest.mark.usefixtures("plugins_everywhere")
def test_kills_lose_nothing_and_fetch_no_fragment_twice(
    site: Site, hls: Path, tmp_path: Path, beam: Beam
) -> None:
    found = kill_fragments(site, hls, tmp_path, beam, kills=1, n=12, within_s=0.3)
    assert found["killed"] == 1
    assert found["kept"] >= 1
    assert found["starts"] <= 12 + 2 * found["killed"]  # what was on its way
    assert found["fragments"] <= 3 * found["starts"]


def test_pace_counts_videos_and_fragments_come_within_it(
    site: Site, hls: Path, tmp_path: Path, download: Download
) -> None:
    clips = serve(site, hls, [youtube_id(i) for i in range(4)], tmp_path / "clips")
    began = time.time()
    done = download(clips, *HOME, "--videos-per-hour", 2400, "--parallel", 2)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    moments = [one.at for one in starts(site)]
    assert len(moments) == 4
    assert moments[-1] - began >= 3 * 3600 / 2400
    (state,) = (tmp_path / "state").glob("*.json")
    assert json.loads(state.read_text())["asked"] == 4
    assert len(fragments(site)) == 3 * 4


@pytest.mark.parametrize("status", ["429", "403"])
def test_refused_fragments_open_the_breaker(
    site: Site, hls: Path, tmp_path: Path, download: Download, status: str
) -> None:
    names = [youtube_id(i) for i in range(5)]
    clips = serve(site, hls, names, tmp_path / "clips")
    for name in names:
        site.faults[f"/hls/{name}/media2.ts"] = Fault(status)
    more = (*HOME, "--videos-per-hour", 0, "--breaker-minutes", 60, "--patience-minutes", 1)
    done = download(clips, *more, "--unit-size", 1)
    assert done.returncode == 1
    assert len(starts(site)) == 3  # then the identity is left alone
    assert set(reasons(tmp_path / "media").values()) == {"rate_limited"}
    details = [row["detail"] for row in read_media(tmp_path / "media", "failures").values()]
    assert sum("not tried" in detail for detail in details) == 4


def fetch_with_faults(
    site: Site, hls: Path, folder: Path, download: Download, *, good: int, each: int, n_slow: int
) -> Counter[str]:
    """Fetch clips of which one fragment is in trouble; return the counts by reason.

    So many answer too slowly (`n_slow`), and use up the time that a clip has.
    """
    names = [f"good{i}" for i in range(good)]
    faults = {}
    for kind, (fault, _) in ALWAYS.items():
        for i in range(n_slow if kind in ("drip", "stall") else each):
            faults[f"{kind}_for_good{i}"] = Fault(fault)
    for kind in PASSING:
        wait, times = ("1", 1) if kind == "429" else ("", 1 if kind == "redirect" else 2)
        faults |= {f"{kind}_passing{i}": Fault(kind, times, wait) for i in range(each)}
    site.faults = {f"/hls/{name}/media2.ts": fault for name, fault in faults.items()}
    clips = serve(site, hls, [*names, *faults], folder / "clips")
    more: list[object] = [
        "--source",
        f"{site.address}/hls/{{video_id}}/master.m3u8",
        "--allow-playlists",
    ]
    more += ["--clip-timeout", 8, "--max-mb", 100, "--tries", 2, "--patience-minutes", 1]
    done = download(clips, *more, "--max-failed", 1, "--parallel", 3)
    assert done.returncode == 0, done.stderr[-2000:]
    found = reasons(folder / "media")
    for name in faults:
        kind, _, rest = name.partition("_")
        wanted = ALWAYS[kind][1] if rest.startswith("for_good") else None
        assert found.get(clip_key(name, *SPAN)) == wanted, name
    done_keys = {path.stem for path in (folder / "media").glob("*.mp4")}
    assert done_keys == read_media(folder / "media").keys()
    assert not done_keys & found.keys()
    assert counts(folder / "media")["clips_in"] == len(names) + len(faults)
    return Counter(found.values())


def test_fragments_in_trouble_end_right(
    site: Site, hls: Path, tmp_path: Path, download: Download
) -> None:
    fetch_with_faults(site, hls, tmp_path, download, good=1, each=1, n_slow=0)


def fetch_hostile_playlists(site: Site, hls: Path, folder: Path, n: int) -> Counter[str]:
    """Fetch so many clips out of playlists that name harm in place of a fragment."""
    text = (hls / "media.m3u8").read_text()
    names = [name for name in dict.fromkeys(hostile_names(3 * n)) if name.split()][:n]
    found: Counter[str] = Counter()
    for name in names:
        listed = text.replace("media2.ts", name).encode("utf-8", "surrogatepass")
        site.files = {**files_of(hls, "/hls"), "/hls/media.m3u8": listed}
        found[fetch(site, folder, "/hls/master.m3u8", *SPAN).reason] += 1
    return found


def test_playlists_that_name_harm_lead_nowhere(site: Site, hls: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    found = fetch_hostile_playlists(site, hls, tmp_path / "work", 60)
    assert found.total() == 60
    assert found[""] == 0
    assert found.keys() <= {str(reason) for reason in Reason} - {"internal"}
    assert found["unsafe_input"] >= 2
    assert {path.name for path in tmp_path.iterdir()} == {"work"}
    assert not (Path.cwd() / "pwned").exists()
    assert all(one.path.startswith("/") for one in site.asked)


def test_hostile_names_ask_for_no_playlist(
    site: Site, hls: Path, tmp_path: Path, download: Download
) -> None:
    names = [name for name in hostile_names(60) if fits_a_line(name) and name.strip() == name]
    clips = write_clips(tmp_path / "clips", [(name, *SPAN) for name in names])
    site.files = files_of(hls, "/hls")
    source = ("--source", f"{site.address}/hls/{{clip_key}}/master.m3u8", "--allow-playlists")
    assert download(clips, *source).returncode == 1
    found = Counter(reasons(tmp_path / "media").values())
    assert found["unsafe_input"] > 0.9 * found.total()
    assert found.keys() <= {"unsafe_input", "gone"}
    assert all(one.path.count("/") == 3 for one in site.asked)
    assert not list((tmp_path / "media").glob("*.mp4"))


ADDRESSES: dict[str, tuple[str, str, str]] = {
    "sound_elsewhere": ("master.m3u8", 'URI="part_1.m3u8"', 'URI="http://localhost:9/a.m3u8"'),
    "sound_of_the_disk": ("master.m3u8", 'URI="part_1.m3u8"', 'URI="file:///etc/passwd"'),
    "picture_elsewhere": ("master.m3u8", "\npart_0.m3u8", "\nhttp://localhost:9/v.m3u8"),
    "itself": ("master.m3u8", "\npart_0.m3u8", "\nmaster.m3u8"),
    "fragment_of_sound": ("part_1.m3u8", "part_12.ts", "http://localhost:9/a.ts"),
}
"""Name to a playlist, and what is changed in it."""


@pytest.mark.parametrize("name", ADDRESSES)
def test_every_address_of_a_playlist_passes_the_guard(
    site: Site, apart: Path, tmp_path: Path, name: str
) -> None:
    path, old, new = ADDRESSES[name]
    text = (apart / path).read_text()
    assert old in text
    site.files = {**files_of(apart, "/hls"), f"/hls/{path}": text.replace(old, new).encode()}
    found = fetch(site, tmp_path, "/hls/master.m3u8", *SPAN)
    assert (found.reason, found.facts) == ("unsafe_input", None), found.detail
    assert len(site.asked) <= 12


@pytest.mark.parametrize("path", ["/hls/media.m3u8", "/hls/media2.ts", "/hls/video.key"])
def test_redirect_of_a_playlist_a_fragment_or_a_key_passes_the_guard(
    site: Site, aes: Path, tmp_path: Path, path: str
) -> None:
    site.files = files_of(aes, "/hls")
    assert fetch(site, tmp_path, "/hls/master.m3u8", *SPAN).facts
    site.faults = {path: Fault("redirect", None, "http://localhost:9/x")}
    found = fetch(site, tmp_path, "/hls/master.m3u8", *SPAN)
    assert (found.reason, found.facts) == ("unsafe_input", None), found.detail


def test_dash_that_names_another_host_is_refused(
    site: Site, film: Path, tmp_path: Path, download: Download
) -> None:
    folder, name = make_dash(tmp_path / "dash", film), youtube_id(0)
    text = (folder / "manifest.mpd").read_text()
    far = text.replace("<Period", "<BaseURL>http://localhost:9/</BaseURL><Period", 1)
    assert far != text
    site.files = {**files_of(folder, "/dash"), "/dash/manifest.mpd": far.encode()}
    site.play(name, "/nowhere.mp4", 12.0)
    address = f"{site.address}/dash/manifest.mpd"
    site.videos[name]["streamingData"] = {"dashManifestUrl": address}
    clips = write_clips(tmp_path / "clips", [(name, *SPAN)])
    more = (*HOME, "--youtube-args", "formats=missing_pot", "--videos-per-hour", 0)
    assert download(clips, *more).returncode == 1
    assert set(reasons(tmp_path / "media").values()) == {"unsafe_input"}
    assert [one.path for one in site.asked] == [f"/watch/{name}", "/dash/manifest.mpd"]
