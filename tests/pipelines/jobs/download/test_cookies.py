"""Cookies that the site renews are kept for their identity, which one worker uses at a time."""

import io
import json
import stat
import threading
import time
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from yt_dlp.cookies import YoutubeDLCookieJar

from pipelines.jobs.download.fetch.site.cookies import KeptCookies
from pipelines.jobs.download.identity import Identity
from pipelines.jobs.download.identity_lock import IdentityLock
from pipelines.jobs.download.rate_limit import Permit, RateLimiter, RatePolicy
from tests.pipelines.jobs.download.conftest import Download, counts, write_clips, youtube_id
from tests.pipelines.jobs.download.server import Site

HEAD = "# Netscape HTTP Cookie File\n"
NAMES = ("home", "lab")


def cookie(name: str, value: str, ends: str = "4000000000") -> str:
    return f"127.0.0.1\tFALSE\t/\tFALSE\t{ends}\t{name}\t{value}\n"


def turns(site: Site, name: str) -> list[int]:
    """The numbers that the site was shown by one identity, in the order of its requests."""
    found = []
    for one in site.asked:
        if "/watch/" in one.path:
            shown = SimpleCookie(one.headers.get("cookie", ""))
            if shown["who"].value == name:
                assert one.agent == f"{name}/1"
                found.append(int(shown["turn"].value) if "turn" in shown else 0)
    return found


def test_renewed_cookies_stay_with_their_identity(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    site.files, site.renews = {"/film.mp4": films["clip"]}, True
    names = [youtube_id(i) for i in range(14)]
    for name in names:
        site.play(name, "/film.mp4", 3.0)
    for name in NAMES:
        (tmp_path / f"{name}.txt").write_text(HEAD + cookie("who", name))
    given = {name: (tmp_path / f"{name}.txt").read_bytes() for name in NAMES}
    (tmp_path / "mine.json").write_text(
        json.dumps([{"name": n, "cookies": f"{n}.txt", "user_agent": f"{n}/1"} for n in NAMES])
    )
    more = ("--hosts", "127.0.0.1", "--videos-per-hour", 0, "--parallel", 3, "--unit-size", 5)
    identities = ("--identities", tmp_path / "mine.json")
    for n_clips in (10, 14):  # a second job goes on with the cookies of the first
        clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names[:n_clips]])
        done = download(clips, *more, *identities)
        assert done.returncode == 0, done.stdout + done.stderr[-2000:]
        assert counts(tmp_path / "media")["clips_done"] == n_clips
        shown = {name: turns(site, name) for name in NAMES}
        for name in NAMES:  # no cookie was shown twice, none left out: one worker at a time
            assert shown[name] == list(range(len(shown[name])))
        assert sum(map(len, shown.values())) == n_clips
    kept = sorted((tmp_path / "state").glob("*.cookies.txt"))
    assert len(kept) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    for path in kept:
        (owner,) = [name for name in NAMES if f"\twho\t{name}\n" in path.read_text()]
        assert f"\tturn\t{len(shown[owner])}\n" in path.read_text()
    assert {name: (tmp_path / f"{name}.txt").read_bytes() for name in NAMES} == given


def names_in(jar: YoutubeDLCookieJar) -> dict[str, str | None]:
    return {one.name: one.value for one in jar}


def test_cookies_that_the_user_exports_anew_count(tmp_path: Path) -> None:
    given, kept = tmp_path / "given.txt", tmp_path / "kept.txt"
    given.write_text(HEAD + cookie("a", "1") + cookie("session", "s", "0"))
    cookies, jar = KeptCookies(given, kept), YoutubeDLCookieJar()
    cookies.load(jar)
    cookies.save(jar)
    assert not kept.exists()  # nothing was renewed
    assert all(not one.is_expired() for one in jar)
    jar.load(io.StringIO(HEAD + cookie("a", "2")))
    cookies.save(jar)
    cookies.save(jar)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    other = YoutubeDLCookieJar()
    KeptCookies(given, kept).load(other)
    assert names_in(other) == {"a": "2", "session": "s"}
    given.write_text(HEAD + cookie("a", "3"))
    KeptCookies(given, kept).load(other)
    assert names_in(other) == {"a": "3"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given.txt", "kept.txt"]


def test_save_that_breaks_off_leaves_the_kept_cookies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, kept = tmp_path / "given.txt", tmp_path / "kept.txt"
    given.write_text(HEAD + cookie("a", "1"))
    cookies, jar = KeptCookies(given, kept), YoutubeDLCookieJar()
    cookies.load(jar)
    jar.load(io.StringIO(HEAD + cookie("a", "2")))
    cookies.save(jar)
    before = kept.read_bytes()
    jar.load(io.StringIO(HEAD + cookie("a", "3")))
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        cookies.save(jar)
    assert kept.read_bytes() == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("kept*")} == {0o600}


@pytest.mark.parametrize(("cookies", "at_once"), [("c.txt", 1), (None, 4)])
def test_identity_with_cookies_is_lent_to_one_at_a_time(
    tmp_path: Path, cookies: str | None, at_once: int
) -> None:
    policy = RatePolicy(folder=str(tmp_path), site="youtube")
    limiter = RateLimiter((Identity(cookies=cookies, per_hour=0),), policy)
    lock, meeting = threading.Lock(), threading.Barrier(at_once)
    now, most = [0], [0]

    def use() -> None:
        permit = limiter.acquire()
        assert isinstance(permit, Permit)
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        meeting.wait(30)
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        permit.give_back()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [at_once]


def test_lock_of_an_identity_goes_with_its_holder(tmp_path: Path) -> None:
    first, second = (IdentityLock(tmp_path / "a.use") for _ in range(2))
    assert first.take()
    assert not second.take()
    first.give_back()
    first.give_back()
    assert second.take()
