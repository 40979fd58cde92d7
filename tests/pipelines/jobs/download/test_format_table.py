"""Which format comes how by which client: docs/download.md says what yt-dlp's extractor does."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.jobs.download.fetch.addresses import youtube_address
from pipelines.jobs.download.fetch.messages import FetchRequest, FetchResult, Limits
from pipelines.jobs.download.fetch.process import Fetcher
from tests.pipelines.jobs.download.conftest import youtube_id
from tests.pipelines.jobs.download.hls import (
    files_of,
    itagged,
    make_chirp,
    make_dash,
    make_hls,
    run_ffmpeg,
)
from tests.pipelines.jobs.download.server import Fault, Site
from tests.places import ROOT

PAGE = (ROOT / "docs" / "download.md").read_text()
LENGTH_S, NAME = 12.0, youtube_id(0)
OBSTACLES = {
    "": "", "token": ", token", "sabr": ", SABR", "sign_in": ", sign-in",
    "client_refused": ", client", "javascript": ", JavaScript",
}  # fmt: skip


def table(title: str) -> list[list[str]]:
    """The rows of the first table below a line of the page, its head among them."""
    lines = PAGE.partition(title)[2].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


BY_CLIENT = table("What comes of a video that YouTube gives in one format alone")
SPECIAL = {row[0]: row[1:] for row in table("What else may be")[1:]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | Path]:
    """A film in every form."""
    folder = tmp_path_factory.mktemp("served")
    late = make_chirp(folder / "late.mp4", LENGTH_S)
    film = folder / "film.mp4"
    run_ffmpeg("-i", late, "-c", "copy", "-movflags", "+faststart", film)
    files: dict[str, bytes | Path] = {"/film.mp4": film, "/film.mp4?pot=dG9rZW4%3D": film}
    files |= itagged(make_hls(folder / "apart", film, "apart"), "/apart")
    for form in ("ts", "aes"):
        files |= files_of(make_hls(folder / form, film, form), f"/{form}")
    return {**files, "/late.mp4": late, **files_of(make_dash(folder / "dash", film), "/dash")}


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[Fetcher]:
    found = Fetcher(tmp_path)
    yield found
    found.close()


def play(site: Site, form: str) -> None:
    """Serve the video in one format alone."""
    if form == "SABR":
        site.play_without_addresses(NAME)
        return
    site.play(NAME, "/film.mp4", LENGTH_S, itag=18 if form == "format 18" else 134)
    if form == "HLS":
        site.play_hls(NAME, "/apart/master.m3u8", LENGTH_S)
    elif form == "DASH":
        address = f"{site.address}/dash/manifest.mpd"
        site.videos[NAME]["streamingData"] = {"dashManifestUrl": address}


def ask(fetcher: Fetcher, folder: Path, **arguments: str) -> FetchResult:
    """Fetch a clip of the video with extractor arguments."""
    work = folder / f"work{len(list(folder.iterdir()))}"
    work.mkdir()
    request = FetchRequest(
        key="clip", video_id=NAME, start_s=4.0, end_s=7.0, source="youtube",
        location=youtube_address(NAME), extent="video", folder=str(work),
        limits=Limits(timeout_s=60.0), hosts=("127.0.0.1",),
        site_args={name: tuple(value.split(",")) for name, value in arguments.items()},
    )  # fmt: skip
    return fetcher.fetch(request)


def outcome(found: FetchResult) -> str:
    """What the page says of a result."""
    how = found.facts["how"] if found.facts else found.reason
    return f"`{how}`{OBSTACLES[found.obstacle]}"


@pytest.mark.parametrize("column", range(1, len(BY_CLIENT[0])))
def test_each_format_comes_as_the_page_says(
    site: Site, served: dict[str, bytes | Path], tmp_path: Path, column: int
) -> None:
    site.files = served
    clients = re.split(r",\s*", BY_CLIENT[0][column])
    assert [row[0] for row in BY_CLIENT[1:]] == ["format 18", "other https", "HLS", "DASH", "SABR"]
    for client in clients:
        folder = tmp_path / client
        folder.mkdir()
        for form, said in ((row[0], row[column]) for row in BY_CLIENT[1:]):
            play(site, form)
            for more in ({}, {"formats": "missing_pot"}):
                fetcher = Fetcher(folder)  # yt-dlp keeps the arguments that it was made with
                found = outcome(ask(fetcher, folder, player_client=client, **more))
                fetcher.close()
                if more and said == "`format`, token":
                    assert found in ("`section`", "`fragments`"), (client, form)
                else:
                    assert found == said, (client, form)


def serve_special(site: Site, name: str) -> dict[str, str]:
    """Serve the video of a row; return the extractor arguments that go with it."""
    play(site, "format 18")
    streaming = site.videos[NAME]["streamingData"]
    if name in ("https, index behind", "https of a server that sends no parts"):
        path, site.ranges = ("/late.mp4", True) if "behind" in name else ("/film.mp4", False)
        site.play(NAME, path, LENGTH_S)
    elif name == "HLS beside https, the video three times as long as the clip":
        streaming["hlsManifestUrl"] = f"{site.address}/ts/master.m3u8"
    elif name == "HLS with AES-128":
        site.play_hls(NAME, "/aes/master.m3u8", LENGTH_S)
    elif name == "HLS whose fragments are refused (403), https beside":
        streaming["hlsManifestUrl"] = f"{site.address}/ts/master.m3u8"
        site.faults["/ts/media2.ts"] = Fault("403")
    elif name == "https of client ios with a token, by hand or from a provider":
        play(site, "other https")
        return {"player_client": "ios", "po_token": "ios.gvs+dG9rZW4="}
    elif name == "a sign-in is wanted":
        site.refuse(NAME, "Sign in to confirm you're not a bot", status="LOGIN_REQUIRED")
    elif name == "the player request is refused (403)":
        site.faults[f"/watch/{NAME}"] = Fault("403")
    else:
        raise AssertionError(f"no row {name!r}")
    return {}


ELSEWHERE = {
    "SABR, `--sabr` and a yt-dlp that has a downloader for it": "`cut`",  # test_ytdlp_version
    "nothing solved, no JavaScript runtime": "`format`, JavaScript",  # test_obstacles
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_cases_come_as_the_page_says(
    site: Site, served: dict[str, bytes | Path], fetcher: Fetcher, tmp_path: Path, name: str
) -> None:
    (said,) = SPECIAL[name]
    if name in ELSEWHERE:
        assert said == ELSEWHERE[name]
        return
    site.files = served
    arguments = serve_special(site, name)
    assert outcome(ask(fetcher, tmp_path, **arguments)) == said
