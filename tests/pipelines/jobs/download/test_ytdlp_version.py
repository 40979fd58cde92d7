"""Another yt-dlp than the installed one, from wheels made here, and what only it can do."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import yt_dlp

from pipelines.jobs.download.ytdlp_version import look_at, packages_folder
from schemas import UsageError
from tests.complaints import Done
from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    read_media,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.server import Site

NEWER, BROKEN = "2099.1.1", "2099.1.2.123456.dev0"
INSTALLED = Path(yt_dlp.__file__).parent
ONWARDS = """from pathlib import Path
__path__.append({folder!r})
exec(compile(Path({folder!r}, "__init__.py").read_text(), __file__, "exec"))
"""
"""Begins a package that is the installed one but for the modules beside it."""
SABR = """
from yt_dlp.downloader.common import FileDownloader
class SabrFD(FileDownloader):
    def real_download(self, filename, info):
        with open(filename, "wb") as file:
            while block := self.ydl.urlopen(info["url"]).read():
                file.write(block)
                break
        return True
PROTOCOL_MAP["sabr"] = SabrFD
"""


def make_wheel(folder: Path, version: str, modules: dict[str, str]) -> None:
    """A wheel of yt-dlp with these modules."""
    about = f"yt_dlp-{version}.dist-info"
    files = {
        **modules,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: yt-dlp\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in files)
    with zipfile.ZipFile(folder / f"yt_dlp-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder, beside it `wheels`: one of a version with SABR, one of a broken version."""
    folder = tmp_path_factory.mktemp("versions")
    (folder / "wheels").mkdir()
    whole, part = (ONWARDS.format(folder=str(INSTALLED / name)) for name in ("", "downloader"))
    inner = {"yt_dlp/__init__.py": whole, "yt_dlp/downloader/__init__.py": part + SABR}
    make_wheel(folder / "wheels", NEWER, inner)
    make_wheel(folder / "wheels", BROKEN, {"yt_dlp/__init__.py": "import nowhere_at_all\n"})
    (folder / "cache").mkdir()
    return folder / "cache"


@pytest.fixture(autouse=True)
def _wheels_alone(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network: pip finds what lies in the folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(cache.parent / "wheels"))


def said(done: Done) -> str:
    """The one sentence of a command that was refused."""
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    return line


def test_named_version_fetches_by_sabr_and_is_recorded(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    good, far, plain = (youtube_id(i) for i in range(3))
    site.files = {"/sabr": films["video"], "/film.mp4": films["clip"]}
    for name in (good, far):
        site.play_without_addresses(name)
    site.videos[far]["streamingData"]["serverAbrStreamingUrl"] = "http://localhost:9/sabr"
    site.play(plain, "/film.mp4", 3.0)
    spans = [(good, 2.0, 5.0), (good, 9.0, 12.0), (far, 0.0, 3.0), (plain, 0.0, 3.0)]
    clips = write_clips(tmp_path / "clips", spans)
    more = ("--hosts", "127.0.0.1", "--videos-per-hour", 0)
    assert "has no downloader for SABR" in said(download(clips, *more, "--sabr"))
    assert site.asked == []
    done = download(clips, *more, "--yt-dlp", NEWER, "--sabr")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    media = tmp_path / "media"
    rows = read_media(media)
    assert {row["yt_dlp"] for row in rows.values()} == {NEWER}
    assert json.loads((media / "manifest.json").read_text())["provenance"]["yt-dlp"] == NEWER
    first = rows[clip_key(good, 2.0, 5.0)]
    assert (first["format_id"], first["how"]) == ("18-sabr", "cut")
    assert first["fetched_bytes"] > films["video"].stat().st_size
    assert rows[clip_key(good, 9.0, 12.0)]["fetched_bytes"] == 0
    assert rows[clip_key(plain, 0.0, 3.0)]["format_id"] == "18"
    assert site.clips_asked()["/sabr"] == 1
    (failure,) = read_media(media, "failures").values()
    assert (failure["clip_key"], failure["reason"]) == (clip_key(far, 0.0, 3.0), "unsafe_input")


def test_sabr_needs_its_switch_and_versions_may_change_within_a_store(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    first, second, sabr = (youtube_id(i) for i in range(3))
    site.files = {"/sabr": films["video"], "/film.mp4": films["clip"]}
    for name in (first, second):
        site.play(name, "/film.mp4", 3.0)
    site.play_without_addresses(sabr)
    more = ("--hosts", "127.0.0.1", "--videos-per-hour", 0)
    clips = write_clips(tmp_path / "clips", [(first, 0.0, 3.0)])
    assert download(clips, *more).returncode == 0
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in (first, second, sabr)])
    assert download(clips, *more, "--yt-dlp", NEWER).returncode == 0
    rows = read_media(tmp_path / "media")
    assert rows[clip_key(first, 0.0, 3.0)]["yt_dlp"] == yt_dlp.version.__version__
    assert rows[clip_key(second, 0.0, 3.0)]["yt_dlp"] == NEWER
    (failure,) = read_media(tmp_path / "media", "failures").values()
    assert failure["reason"] == "format"
    assert site.clips_asked()["/sabr"] == 0


def test_version_is_installed_once(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    part = tmp_path / "earsight" / "yt-dlp" / f"{NEWER}.part"
    part.mkdir(parents=True)  # of a command that was killed
    (part / "yt_dlp").write_text("half of it")
    folder = packages_folder(NEWER)
    assert (folder / "yt_dlp" / "__init__.py").exists()
    assert not part.exists()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert packages_folder(NEWER) == folder
    found = look_at(NEWER)
    assert (found.version, found.sabr) == (NEWER, True)
    assert look_at(None).version == yt_dlp.version.__version__


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--yt-dlp", "2000.1.1"), "cannot be installed: No matching distribution found"),
        (("--yt-dlp", "nightly; touch x"), "is no version of yt-dlp"),
        (("--yt-dlp=--pre",), "is no version of yt-dlp"),
        (("--yt-dlp", BROKEN), "nowhere_at_all"),
        (("--yt-dlp", NEWER, "--source", "http://a.example/{clip_key}"), "--source youtube"),
    ],
)
def test_version_that_cannot_be_had_gets_one_sentence(
    cache: Path, tmp_path: Path, download: Download, words: Sequence[str], sentence: str
) -> None:
    clips = write_clips(tmp_path / "clips", [(youtube_id(0), 0.0, 3.0)])
    assert sentence in said(download(clips, *words))
    assert not (tmp_path / "media").exists()
    assert not list(cache.glob("earsight/yt-dlp/*.part"))


def test_neither_pip_nor_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UsageError, match="neither pip nor uv"):
        packages_folder(NEWER)
