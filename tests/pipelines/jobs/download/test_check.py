"""`beam check` before a download: cookies, one test download; `beam plan`: the arithmetic."""

import time
from pathlib import Path

import pytest

from pipelines.commands.check import Finding, _tokens
from pipelines.jobs.download.token_providers import find_providers
from tests.pipelines.conftest import Beam
from tests.pipelines.jobs.download.conftest import youtube_id
from tests.pipelines.jobs.download.server import Site

HEAD = "# Netscape HTTP Cookie File\n"


def cookie(name: str, ends: float) -> str:
    return f".youtube.com\tTRUE\t/\tTRUE\t{int(ends)}\t{name}\tx\n"


@pytest.mark.parametrize(
    ("ends", "status", "said"),
    [
        ((3600,), 0, "1 in"),
        ((3600, -3600), 0, "1 of 2"),
        ((-3600,), 1, "all have expired"),
        ((), 1, "there is none"),
    ],
)
def test_cookies_must_not_have_expired(
    tmp_path: Path, beam: Beam, ends: tuple[int, ...], status: int, said: str
) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text(HEAD + "".join(cookie(str(i), time.time() + s) for i, s in enumerate(ends)))
    done = beam("check", "--cookies", path)
    assert done.returncode == status
    assert said in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "content",
    [
        b"no cookies at all",
        HEAD.encode() + b".h\tTRUE\t/\ts3cret\n",
        HEAD.encode() + b".h\tTRUE\t/\tFALSE\tnever\tname\ts3cret\n",
        HEAD.encode() + b"\xff\xfe s3cret",
    ],
)
def test_unreadable_cookies_are_bad_and_not_shown(
    tmp_path: Path, beam: Beam, content: bytes, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "cookies.txt"
    path.write_bytes(content)
    done = beam("check", "--cookies", path)
    assert done.returncode == 1
    assert "is no cookies file" in " ".join(done.stdout.replace("│", " ").split())
    assert "s3cret" not in done.stdout + done.stderr
    assert not [warned for warned in recwarn if "cookiejar" in str(warned.message)]


def test_cookies_that_are_not_there_are_bad(tmp_path: Path, beam: Beam) -> None:
    done = beam("check", "--cookies", tmp_path)
    assert done.returncode == 1
    assert "Is a directory" in " ".join(done.stdout.split())


def test_one_test_download_when_allowed(site: Site, films: dict[str, Path], beam: Beam) -> None:
    site.files["/film.mp4"] = films["video"]
    site.play(youtube_id(1), "/film.mp4", 20.0)
    site.refuse(youtube_id(2), "Private video", "Sign in if you've been granted access")
    assert beam("check").returncode == 0
    assert site.asked == []  # nothing is asked without leave
    good = beam("check", "--hosts", "127.0.0.1", f"--test-download={youtube_id(1)}")
    assert good.returncode == 0, good.stdout
    assert "format 18, 10.0 s" in " ".join(good.stdout.split())
    bad = beam("check", "--hosts", "127.0.0.1", f"--test-download={youtube_id(2)}")
    assert bad.returncode == 1
    assert "private" in bad.stdout
    assert beam("check", "--test-download", "../etc/passwd").returncode == 2


def test_plan_says_how_long_it_takes(shared: Path, beam: Beam) -> None:
    words = ("plan", "--dataset", "llp", "--annotations", shared / "annotations/llp")
    said = " ".join(beam(*words).stdout.split())
    assert "39.5 h = 11,849 / 300 per hour / 1 identities" in said
    assert "46.5 h at the job's own pace" in said
    two = " ".join(beam(*words, "--identities", 2).stdout.split())
    assert "19.7 h = 11,849 / 300 per hour / 2 identities" in two


def test_provider_of_tokens_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_providers() == {}
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "token_plugins"))
    for state, said in (
        ("ready", ""),
        ("silent", "it is installed and does not answer"),
        ("broken", "RuntimeError: no way"),
    ):
        monkeypatch.setenv("EARSIGHT_TEST_TOKENS", state)
        assert find_providers() == {"local:test": said}
    assert _tokens().verdict == "note"
    monkeypatch.setenv("EARSIGHT_TEST_TOKENS", "ready")
    assert _tokens() == Finding("PO tokens", "ok", "local:test answers")
