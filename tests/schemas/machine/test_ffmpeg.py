"""The system's ffmpeg is taken, else that of a package, else a sentence says what to install."""

import shutil

import imageio_ffmpeg
import pytest

from schemas import UsageError
from schemas.machine.ffmpeg import ffmpeg_binary

find = ffmpeg_binary.__wrapped__


def test_ffmpeg_of_the_system_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: "/package/ffmpeg")
    monkeypatch.setattr(shutil, "which", {"ffmpeg": "/system/ffmpeg"}.get)
    assert find() == "/system/ffmpeg"
    monkeypatch.setattr(shutil, "which", {}.get)
    assert find() == "/package/ffmpeg"


def test_without_any_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise RuntimeError("no exe")

    monkeypatch.setattr(shutil, "which", {}.get)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", none)
    with pytest.raises(UsageError, match="no ffmpeg on this machine: install it"):
        find()
