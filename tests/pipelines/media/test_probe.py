"""What is in a file, and which files are refused."""

import subprocess
from pathlib import Path

import pytest

from pipelines.media.probe import Probe, Track, probe
from schemas import KnownError, Reason
from schemas.machine.ffmpeg import ffmpeg_binary
from tests.pipelines.conftest import make_clip


def run_ffmpeg(path: Path, *words: str) -> Path:
    command = [ffmpeg_binary(), "-v", "error", "-nostdin", *words, str(path)]
    subprocess.run(command, check=True)
    return path


def source(text: str) -> tuple[str, ...]:
    return "-f", "lavfi", "-i", text


def refusal(path: Path) -> KnownError:
    with pytest.raises(KnownError) as caught:
        probe(path)
    return caught.value


def test_largest_video_and_audio_with_most_channels_are_chosen(tmp_path: Path) -> None:
    path = run_ffmpeg(
        tmp_path / "tracks.mkv",
        *source("testsrc2=size=32x64:rate=10:duration=1"),
        *source("testsrc2=size=64x48:rate=5:duration=2"),
        *source("testsrc2=size=48x64:rate=10:duration=1"),
        *source("sine=sample_rate=8000:duration=1"),
        *source("sine=sample_rate=16000:duration=3"),
        *("-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map", "4", "-map", "3"),
        *("-c:v", "ffv1", "-c:a", "pcm_s16le", "-ac:a:1", "2", "-ac:a:2", "2"),
    )
    assert probe(path) == Probe(Track(1, 2.0, 5.0), Track(4, 3.0, 16000.0, 2))
    assert probe(path).duration_s == 3.0


def test_time_counts_from_the_start_of_the_file(tmp_path: Path) -> None:
    words = (*source("sine=duration=2"), "-c:a", "pcm_s16le", "-output_ts_offset", "30")
    path = run_ffmpeg(tmp_path / "late.mkv", *words)
    audio = probe(path).audio
    assert audio is not None
    assert audio.end_s == pytest.approx(2.0, abs=0.01)


def test_file_that_is_cut_off_ends_where_it_was_cut(tmp_path: Path) -> None:
    whole = run_ffmpeg(tmp_path / "a.wav", *source("sine=sample_rate=16000:duration=4"))
    path = tmp_path / "cut.wav"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.1)


def test_raw_video_whose_packets_say_no_time_is_as_long_as_they_are_together(
    tmp_path: Path,
) -> None:
    words = (*source("testsrc2=size=64x48:rate=25:duration=2"), "-c:v", "libx264")
    assert probe(run_ffmpeg(tmp_path / "raw.h264", *words)).duration_s == pytest.approx(2.0)


def test_file_whose_packets_last_no_time_is_corrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(tmp_path / "clip.mp4", 1.0)
    monkeypatch.setattr("pipelines.media.probe._ends", lambda *_: dict.fromkeys(range(2), 0.0))
    assert refusal(path).reason is Reason.CORRUPT
    assert refusal(path).detail == "no packet of video or audio lasts any time"


def test_huge_picture_is_too_large(tmp_path: Path) -> None:
    words = ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p")
    huge = run_ffmpeg(tmp_path / "huge.mkv", *source("color=s=12288x8192:r=1:d=1"), *words)
    assert refusal(huge).reason is Reason.TOO_LARGE
    assert "12288 x 8192 pixels" in refusal(huge).detail
    most = run_ffmpeg(tmp_path / "most.mkv", *source("color=s=8192x8192:r=1:d=1"), *words)
    assert probe(most).video is not None


@pytest.mark.parametrize(("second_frame_s", "taken"), [(28_700, True), (28_900, False)])
def test_file_of_more_than_eight_hours_is_too_large(
    tmp_path: Path, second_frame_s: int, taken: bool
) -> None:
    words = ("-vf", f"settb=1/1000,setpts=N*{second_frame_s}*1000", "-fps_mode", "passthrough")
    path = run_ffmpeg(
        tmp_path / "long.mkv", *source("color=s=32x32:r=1:d=2"), *words, "-c:v", "mpeg4",
        "-enc_time_base", "1/1000",
    )  # fmt: skip
    if taken:
        assert probe(path).duration_s == pytest.approx(second_frame_s, abs=1)
        return
    assert refusal(path).reason is Reason.TOO_LARGE
    assert refusal(path).detail == "the file lasts 28901 s, 28800 s (8 h) at most"


def test_file_without_tracks_holds_neither(tmp_path: Path) -> None:
    data = make_clip(tmp_path / "clip.mp4", 1.0).read_bytes()
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(data[: data.index(b"moov") - 4].replace(b"trak", b"free"))
    assert refusal(empty).reason is Reason.CORRUPT
    start = data.index(b"moov") - 4
    empty.write_bytes(data[:start] + data[start:].replace(b"trak", b"free"))
    assert refusal(empty).reason is Reason.NO_STREAMS


def test_audio_alone_and_video_alone(tmp_path: Path) -> None:
    mute = probe(make_clip(tmp_path / "mute.mp4", 1.0, audio=False))
    heard = probe(make_clip(tmp_path / "heard.wav", 1.0, video=False))
    assert (mute.audio, heard.video) == (None, None)
    assert mute.duration_s == pytest.approx(1.0)
    assert heard.duration_s == pytest.approx(1.0)
