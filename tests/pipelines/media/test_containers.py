"""What may be opened, and how a refusal is explained."""

from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import av.logging
import pytest

from pipelines.media.containers import open_media, refusal
from schemas import Reason
from tests.pipelines.conftest import make_clip


@pytest.fixture(autouse=True)
def messages_kept() -> Iterator[None]:
    """Keep the library's messages, as the reading process does."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    yield
    av.logging.set_level(level)


def error_of(path: Path) -> av.error.FFmpegError:
    with pytest.raises(av.error.FFmpegError) as caught, open_media(path, 20):
        pass
    return caught.value


def test_media_is_opened_whatever_its_name(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", 1.0).rename(tmp_path / "concat:50%.txt")
    with open_media(path) as container:
        assert "mp4" in container.format.name


def test_script_is_unsafe_and_subtitles_are_of_a_wrong_format(tmp_path: Path) -> None:
    script, subtitles = tmp_path / "a.mp4", tmp_path / "b.mp4"
    script.write_text("ffconcat version 1.0\nfile clip.mp4\n")
    subtitles.write_text("WEBVTT\n\n00:00.000 --> 00:05.000\nhello\n")
    unsafe, wrong = refusal(error_of(script)), refusal(error_of(subtitles))
    assert unsafe is not None
    assert wrong is not None
    assert (unsafe.reason, wrong.reason) == (Reason.UNSAFE_INPUT, Reason.FORMAT)
    assert "(concat)" in unsafe.detail
    assert "is webvtt" in wrong.detail


def test_broken_file_is_no_refusal(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"this is not a film")
    assert refusal(error_of(path)) is None
    assert refusal(ValueError("other")) is None
