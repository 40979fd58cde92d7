"""Secrets are planted wherever one may be given; no output, file or command line repeats them."""

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.pipelines.jobs.download.conftest import (
    clip_key,
    make_film,
    read_media,
    reasons,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.server import Fault, Site
from tests.places import ROOT

COOKIE, AGENT, TOKEN = "c00kie-s3cret", "agent-s3cret/1.0", "po-t0ken-s3cret"
USER, PASSWORD, QUERY = "us3r-s3cret", "pass'w0rd-s3cret", "s1gned-s3cret"
SECRETS = (COOKIE, AGENT, TOKEN, USER, PASSWORD, "w0rd-s3cret", QUERY)


class Watch:
    """The command lines of a process's children, and the secrets in a folder, while it works."""

    def __init__(self, process: psutil.Process, media: Path) -> None:
        self.process, self.media = process, media
        self.lines: set[str] = set()
        self.written: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        own = self.process.cmdline()  # a child's too, until it becomes another program
        while not self._stop.wait(0.01):
            try:
                for child in self.process.children(recursive=True):
                    if (line := child.cmdline()) != own:
                        self.lines.add("\0".join(line))
            except psutil.Error:
                continue
            self.written.update(leaks(self.media))


def leaks(folder: Path) -> Iterator[str]:
    """Yield the files under a folder that hold a secret, in their names too."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                data = path.read_bytes()
            except OSError:
                continue
            for secret in SECRETS:
                if secret.encode() in data or secret in name:
                    yield f"{path}: {secret}"


@contextmanager
def job(
    command: list[str], media: Path, **environment: str
) -> Iterator[tuple["subprocess.Popen[str]", Watch]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *command], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
    )  # fmt: skip
    with Watch(psutil.Process(process.pid), media) as watch:
        yield process, watch


def identity_file(folder: Path, site: Site) -> Path:
    """An identity with everything that is secret; its proxy is the site itself."""
    cookies = folder / "cookies.txt"
    ends = int(time.time()) + 9999
    cookies.write_text(
        f"# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t{ends}\tlogin\t{COOKIE}\n"
    )
    cookies.chmod(0o600)
    host = site.address.removeprefix("http://")
    quoted = PASSWORD.replace("'", "%27")
    path = folder / "identities.json"
    path.write_text(
        f'[{{"name": "home", "cookies": "cookies.txt", "user_agent": "{AGENT}", '
        f'"proxy": "http://{USER}:{quoted}@{host}"}}]'
    )
    return path


def check_silence(said: str, watch: Watch, media: Path) -> None:
    lines = "\n".join(watch.lines)
    for secret in SECRETS:
        assert secret not in said
        assert secret not in lines
    assert not watch.written
    assert not list(leaks(media))


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the proxy be asked for addresses of this machine too."""
    monkeypatch.delenv("no_proxy")


def test_sections_show_no_secret_while_they_are_cut(
    site: Site, direct: None, tmp_path: Path
) -> None:
    names = [youtube_id(number) for number in range(3)]
    site.files["/film.mp4"] = make_film(tmp_path / "film.mp4", 20.0)
    for name in names:
        site.play(name, "/film.mp4", 20.0, url=f"http://media.test/film.mp4?sig={QUERY}")
    site.videos[names[2]]["streamingData"]["formats"][0]["url"] += "&gone=1"
    clips = write_clips(tmp_path / "clips", [(name, 9.5, 12.5) for name in names])
    media = tmp_path / "media"
    command = ["run", "download", "--dataset", "audioset", "--annotations", str(clips)]
    command += ["--split", "train", "--media", str(media), "--state", str(tmp_path / "state")]
    command += ["--identities", str(identity_file(tmp_path, site)), "--videos-per-hour", "0"]
    command += ["--section-above-mb", "0", "--hosts", "127.0.0.1,media.test"]
    site.files[f"/film.mp4?sig={QUERY}"] = site.files.pop("/film.mp4")
    with job(command, media) as (process, watch):
        said = "".join(process.communicate(timeout=120))
    rows = read_media(media)
    assert {row["how"] for row in rows.values()} == {"section"}, said
    assert len(rows) == 2
    assert reasons(media).keys() == {clip_key(names[2], 9.5, 12.5)}
    assert any("ffmpeg" in line for line in watch.lines)  # it was seen at work
    assert AGENT in {asked.agent for asked in site.asked}  # and the secrets were used
    assert any(COOKIE in asked.headers.get("cookie", "") for asked in site.asked)
    assert any(asked.headers.get("proxy-authorization") for asked in site.asked)
    check_silence(said, watch, media)


def test_sources_with_passwords_and_signatures_are_recorded_without_them(
    site: Site, films: dict[str, Path], tmp_path: Path
) -> None:
    names = ("good", "gone", "broken", "bad")
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    for name in names:
        path = f"/{clip_key(name, 0.0, 3.0)}.mp4?sig={QUERY}"
        site.files[path] = films["clip"]
        site.faults[path] = {
            "good": Fault("none", 0), "gone": Fault("404"), "broken": Fault("reset"),
            "bad": Fault("redirect", None, f"http://other.test/x?sig={QUERY}"),
        }[name]  # fmt: skip
    host = site.address.removeprefix("http://")
    media = tmp_path / "media"
    quoted = PASSWORD.replace("'", "%27")
    command = ["run", "download", "--dataset", "audioset", "--annotations", str(clips)]
    command += ["--split", "train", "--media", str(media), "--state", str(tmp_path / "state")]
    command += ["--source", f"http://{USER}:{quoted}@{host}/{{clip_key}}.mp4?sig={QUERY}"]
    command += ["--tries", "1", "--user-agent", AGENT, "--youtube-args", f"po_token={TOKEN}"]
    with job(command, media) as (process, watch):
        said = "".join(process.communicate(timeout=120))
    assert set(reasons(media)) == {clip_key(name, 0.0, 3.0) for name in names[1:]}
    assert any(asked.headers.get("authorization") for asked in site.asked)
    (row,) = read_media(media).values()
    assert row["source"] == f"http://***@{host}/{clip_key('good', 0.0, 3.0)}.mp4?sig=***"
    manifest = (media / "manifest.json").read_text()
    assert f"http://***@{host}/{{clip_key}}.mp4?sig=***" in manifest
    check_silence(said, watch, media)


def test_killed_job_leaves_no_copy_of_the_cookies(
    site: Site, films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0)])
    path = "/one_0_3.mp4"
    site.files[path], site.faults[path] = films["clip"], Fault("stall")
    media = tmp_path / "media"
    monkeypatch.delenv("no_proxy")
    command = ["run", "download", "--dataset", "audioset", "--annotations", str(clips)]
    command += ["--split", "train", "--media", str(media), "--state", str(tmp_path / "state")]
    command += ["--source", f"{site.address}/{{clip_key}}.mp4"]
    command += ["--identities", str(identity_file(tmp_path, site))]
    with job(command, media) as (process, watch):
        deadline = time.monotonic() + 60
        while not site.asked and time.monotonic() < deadline:
            time.sleep(0.02)
        assert site.asked
        children = watch.process.children(recursive=True)
        process.kill()
        said = "".join(process.communicate(timeout=60))
    assert any(COOKIE in asked.headers.get("cookie", "") for asked in site.asked)
    scratch = [path for path in media.glob(".tmp-fetch-*") if path.is_dir()]
    assert scratch  # it was killed at work
    assert not stat.S_IMODE(scratch[0].stat().st_mode) & 0o077
    check_silence(said, watch, media)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
