"""A browser's handshake for pages: the same limits hold, and what is not there is said."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import RequestError

from pipelines.jobs.download.fetch.guard import Allowance, GuardedYoutubeDL
from pipelines.jobs.download.fetch.reasons import classify_error
from pipelines.jobs.download.fetch.site.impersonation import read_target
from pipelines.jobs.download.ytdlp_version import look_at
from tests.pipelines.jobs.download.conftest import (
    Download,
    read_media,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.server import Fault, Site

HOME = ("--hosts", "127.0.0.1", "--videos-per-hour", 0)


@pytest.fixture
def browser() -> Iterator[GuardedYoutubeDL]:
    """yt-dlp as a browser."""
    target = read_target("chrome")
    with closing(GuardedYoutubeDL({"quiet": True, "impersonate": target})) as ydl:
        ydl.allowance = Allowance(("127.0.0.1",), 2**20, 60.0)
        yield ydl


def test_pages_are_asked_as_a_browser_and_media_as_before(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    name = youtube_id(0)
    site.files = {"/film.mp4": films["clip"]}
    site.play(name, "/film.mp4", 3.0)
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0)])
    done = download(clips, *HOME, "--impersonate", "firefox-147")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    page, film = (
        next(one for one in site.asked if one.path == path)
        for path in (f"/watch/{name}", "/film.mp4")
    )
    assert "Firefox/147" in page.agent
    assert page.headers["te"] == "trailers"  # as Firefox and nobody else says
    assert "te" not in film.headers
    (row,) = read_media(tmp_path / "media").values()
    assert row["fetched_bytes"] > films["clip"].stat().st_size  # the page was counted too


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("redirect", None, "http://localhost:9/x"), "unsafe_input"),
        (Fault("redirect", None, "file:///etc/passwd"), "unsafe_input"),
        (Fault("redirect"), "network"),
        (Fault("endless"), "too_large"),
        (Fault("endless_gzip"), "too_large"),
        (Fault("bomb"), "too_large"),
    ],
)
def test_limits_hold_for_a_browser_too(
    site: Site, browser: GuardedYoutubeDL, fault: Fault, reason: str
) -> None:
    site.faults["/page"] = fault
    with (
        pytest.raises(RequestError) as caught,
        closing(browser.urlopen(Request(f"{site.address}/page"))) as response,
    ):
        response.read()
    assert classify_error(caught.value, site=True).reason == reason
    assert len(site.asked) <= 6
    assert site.sent < 16 * 2**20  # with what sockets hold


def test_redirects_are_followed_with_the_same_handshake(
    site: Site, browser: GuardedYoutubeDL
) -> None:
    site.faults["/page"] = Fault("redirect", None, "/other")
    site.files["/other"] = b"words"
    request = Request(f"{site.address}/page", headers={"Authorization": "s3cret"})
    with closing(browser.urlopen(request)) as response:
        assert response.read() == b"words"
        assert response.url == f"{site.address}/other"
    assert [one.path for one in site.asked] == ["/page", "/other"]
    assert all("Chrome/" in one.agent for one in site.asked)
    assert site.asked[1].headers["authorization"] == "s3cret"  # of the same host


def test_authorization_stays_with_its_host(site: Site, browser: GuardedYoutubeDL) -> None:
    browser.allowance = Allowance(("127.0.0.1", "localhost"), 2**20, 60.0)
    site.files["/other"] = b"words"
    port = site.address.rpartition(":")[2]
    site.faults["/page"] = Fault("redirect", None, f"http://localhost:{port}/other")
    headers = {"Authorization": "s3cret", "Cookie": "a=s3cret"}
    with closing(browser.urlopen(Request(f"{site.address}/page", headers=headers))) as response:
        assert response.read() == b"words"
    assert "s3cret" in site.asked[0].headers["authorization"]
    assert not {"authorization", "cookie"} & site.asked[1].headers.keys()


def test_browser_is_sent_through_the_proxy_after_a_redirect(site: Site) -> None:
    target = read_target("chrome")
    with closing(
        GuardedYoutubeDL({"quiet": True, "impersonate": target, "proxy": site.address})
    ) as ydl:
        ydl.allowance = Allowance(("nowhere.invalid",), 2**20, 60.0)
        site.faults["/page"] = Fault("redirect", None, "/other")
        site.files["/other"] = b"words"
        with closing(ydl.urlopen(Request("http://nowhere.invalid/page"))) as response:
            assert response.read() == b"words"
    assert [one.path for one in site.asked] == ["/page", "/other"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--impersonate", "lynx"), "available are chrome-"),
        (("--impersonate", "chrome-1"), "available are chrome-"),
        (("--impersonate", "::\x1b[2J"), "available are chrome-"),
        (("--impersonate", ""), "available are chrome-"),
        (("--impersonate", "chrome", "--user-agent", "me/1"), "drop --user-agent"),
        (
            ("--impersonate", "chrome", "--source", "http://a/{clip_key}"),
            "--source youtube",
        ),
    ],
)
def test_what_cannot_be_impersonated_gets_one_sentence(
    tmp_path: Path, download: Download, words: tuple[str, ...], sentence: str
) -> None:
    clips = write_clips(tmp_path / "clips", [(youtube_id(0), 0.0, 3.0)])
    done = download(clips, *words)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert sentence in line
    assert line.isprintable()
    assert not (tmp_path / "media").exists()


def test_machine_without_curl_cffi_says_so(
    tmp_path: Path, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "curl_cffi.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "hidden"), *sys.path])
    found = look_at(None, "chrome")
    assert (found.browsers, found.impersonates) == ((), False)
    clips = write_clips(tmp_path / "clips", [(youtube_id(0), 0.0, 3.0)])
    done = download(clips, "--impersonate", "chrome")
    assert done.returncode == 2
    assert "no browser is available, because" in done.stderr
    assert "pip install 'earsight[impersonate]'" in done.stderr
