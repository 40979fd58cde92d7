"""The clip is the stretch that was asked for: frames and audio are those of the source there."""

import functools
import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.jobs.download.fetch.cut import by_section, cut_clip
from pipelines.jobs.download.fetch.messages import FetchedMedia, FetchRequest, Limits, MediaExtent
from pipelines.jobs.download.fetch.verify import read_tracks
from pipelines.media.ffmpeg import run_child
from schemas import KnownError, Reason
from tests.pipelines.jobs.download.conftest import make_film


def request(
    work: Path, start: float, end: float, extent: MediaExtent = "video", **limits: int
) -> FetchRequest:
    work.mkdir(exist_ok=True)
    return FetchRequest(
        key="a_clip", video_id="a", start_s=start, end_s=end, source="files", location="",
        extent=extent, folder=str(work), limits=Limits(**limits),
    )  # fmt: skip


def of(film: Path) -> FetchedMedia:
    return FetchedMedia(str(film), None, "test", "file", None)


def frames(path: Path) -> NDArray[np.float32]:
    """Grey frames [N, H, W]."""
    with av.open(str(path)) as container:
        grey = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return np.stack(grey).astype(np.float32)


def audio(path: Path) -> NDArray[np.float32]:
    """All samples of the first channel."""
    with av.open(str(path)) as container:
        blocks = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return np.concatenate(blocks)


@pytest.mark.parametrize("start", [0.0, 2.5, 6.04, 13.96])
def test_cut_is_exact_to_the_frame(films: dict[str, Path], tmp_path: Path, start: float) -> None:
    source = frames(films["video"])
    work = tmp_path / "work"
    made = cut_clip(request(work, start, start + 3.0), of(films["video"]), work)
    found = frames(made.path)
    assert abs(len(found) - 75) <= 1
    first = math.ceil(start * 25 - 1e-6)  # the first frame that begins in the clip
    errors = [np.abs(found[0] - source[i]).mean() for i in range(len(source))]
    assert int(np.argmin(errors)) == first
    last = [np.abs(found[-1] - source[i]).mean() for i in range(len(source))]
    assert int(np.argmin(last)) == first + len(found) - 1
    assert (made.start_s, made.shorter, made.how) == (start, False, "cut")


def test_sound_stays_with_the_picture(tmp_path: Path) -> None:
    film = make_film(tmp_path / "beep.mp4", 8.0, "-af", "volume='if(gte(t,5),1,0)':eval=frame")
    made = cut_clip(request(tmp_path / "work", 3.0, 7.0), of(film), tmp_path / "work")
    heard = np.abs(audio(made.path))
    onset = np.flatnonzero(heard > 0.05)[0] / 44_100
    assert abs(onset - 2.0) < 0.05  # the tone begins at 5 s, two seconds into the clip
    assert abs(made.media.offset_s or 0.0) < 0.05


def test_clip_in_the_right_form_is_taken_as_it_is(films: dict[str, Path], tmp_path: Path) -> None:
    work = tmp_path / "work"
    made = cut_clip(request(work, 30.0, 33.0, "clip"), of(films["clip"]), work)
    assert (made.how, made.path, made.start_s) == ("as_is", films["clip"], 30.0)


def test_other_codecs_and_sizes_are_encoded_anew(films: dict[str, Path], tmp_path: Path) -> None:
    work = tmp_path / "work"
    big = make_film(tmp_path / "big.mkv", 3.0, size="854x480")
    made = cut_clip(request(work, 0.0, 3.0, "clip"), of(big), work)
    assert made.media.video is not None
    assert (made.how, made.media.video.height, made.media.video.width) == ("cut", 360, 640)
    kept = cut_clip(request(work, 0.0, 3.0, "clip", height=0), of(big), work)
    assert kept.media.video is not None
    assert kept.media.video.height == 480
    assert made.media.audio is not None
    assert made.media.audio.sample_rate == 44_100


def test_slide_show_is_no_broken_clip(tmp_path: Path) -> None:
    work = tmp_path / "work"
    for name, more in (("with.mp4", ()), ("without.mp4", ("-an",))):
        slides = make_film(tmp_path / name, 20.0, *more, rate=1, size="160x120")
        made = cut_clip(request(work, 5.5, 8.5), of(slides), work)
        assert made.how == "cut"
        assert abs(made.media.duration_s - 3.0) <= 1.0


def test_odd_sides_are_made_even(tmp_path: Path) -> None:
    work = tmp_path / "work"
    film = make_film(tmp_path / "odd.mkv", 2.0, "-pix_fmt", "yuv444p", size="161x121")
    made = cut_clip(request(work, 0.0, 2.0, "clip", height=0), of(film), work)
    assert made.media.video is not None
    assert (made.media.video.width, made.media.video.height) == (160, 120)


def test_two_files_become_one_clip(films: dict[str, Path], tmp_path: Path) -> None:
    video = make_film(tmp_path / "video.mp4", 6.0, "-an")
    heard = make_film(tmp_path / "audio.m4a", 6.0, "-vn")
    work = tmp_path / "work"
    fetched = FetchedMedia(str(video), str(heard), "test", "134+140", None)
    made = cut_clip(request(work, 1.0, 4.0), fetched, work)
    assert made.media.video is not None
    assert made.media.audio is not None
    assert abs(made.media.duration_s - 3.0) <= 0.2


@pytest.mark.parametrize(
    ("film", "start", "extent", "reason"),
    [
        ("video", 0.0, "clip", Reason.FORMAT),
        ("video", 19.8, "video", Reason.TOO_SHORT),
        ("video", 40.0, "either", Reason.TOO_SHORT),
    ],
)
def test_file_that_is_not_the_clip_is_refused(
    films: dict[str, Path],
    tmp_path: Path,
    film: str,
    start: float,
    extent: MediaExtent,
    reason: Reason,
) -> None:
    work = tmp_path / "work"
    with pytest.raises(KnownError) as caught:
        cut_clip(request(work, start, start + 3.0, extent), of(films[film]), work)
    assert caught.value.reason is reason


def test_open_clip_keeps_its_bytes(films: dict[str, Path], tmp_path: Path) -> None:
    work = tmp_path / "work"
    made = cut_clip(request(work, 0.0, float("inf"), "clip"), of(films["video"]), work)
    digest = hashlib.sha256(films["video"].read_bytes()).hexdigest()
    assert hashlib.sha256(made.path.read_bytes()).hexdigest() == digest
    assert not made.shorter


@pytest.mark.parametrize(("longer", "reason"), [(0.15, None), (0.3, "cut")])
def test_clip_is_as_it_is_within_a_fifth_of_a_second(
    tmp_path: Path, longer: float, reason: str | None
) -> None:
    work = tmp_path / "work"
    film = make_film(tmp_path / "film.mp4", 3.0 + longer, rate=50)
    made = cut_clip(request(work, 0.0, 3.0, "clip"), of(film), work)
    assert made.how == (reason or "as_is")
    assert abs(made.media.duration_s - 3.0) <= 0.2


@pytest.mark.parametrize(("missing", "shorter"), [(0.1, False), (0.3, True)])
def test_clip_is_shorter_beyond_a_fifth_of_a_second(
    tmp_path: Path, missing: float, shorter: bool
) -> None:
    work = tmp_path / "work"
    film = make_film(tmp_path / "film.mp4", 3.0 - missing, rate=50)
    assert cut_clip(request(work, 0.0, 3.0, "clip"), of(film), work).shorter is shorter


def test_cut_that_comes_out_too_short_is_corrupt(
    films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong, accepted in ((0.1, True), (0.4, False)):
        work = tmp_path / f"work{wrong}"
        encode_with(monkeypatch, functools.partial(shortened, wrong))
        if accepted:
            assert cut_clip(request(work, 5.0, 8.0), of(films["video"]), work).how == "cut"
            continue
        with pytest.raises(KnownError, match=r"3\.00 s were to be cut and 2\.60 s came") as caught:
            cut_clip(request(work, 5.0, 8.0), of(films["video"]), work)
        assert caught.value.reason is Reason.CORRUPT


def test_audio_that_moved_against_the_video_is_corrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make_film(tmp_path / "film.mp4", 8.0, rate=50)
    for wrong, accepted in ((0.1, True), (0.4, False)):
        work = tmp_path / f"work{wrong}"
        encode_with(monkeypatch, functools.partial(with_filter, f"asetpts=PTS+{wrong}/TB"))
        asked = request(work, 2.0, 5.0)
        if accepted:
            assert cut_clip(asked, of(film), work).how == "cut"
            continue
        with pytest.raises(KnownError, match=r"moved apart by 0\.(3[89]|4\d) s") as caught:
            cut_clip(asked, of(film), work)
        assert caught.value.reason is Reason.CORRUPT


def encode_with(monkeypatch: pytest.MonkeyPatch, change: Callable[[list[str]], list[str]]) -> None:
    """Let ffmpeg do something else than it was asked."""

    def run(words: list[str], **options: Any) -> int:
        return run_child(change(words), **options)

    monkeypatch.setattr("pipelines.jobs.download.fetch.cut.run_child", run)


def shortened(by: float, words: list[str]) -> list[str]:
    """Encode fewer seconds."""
    place = words.index("-t") + 1
    return [*words[:place], str(float(words[place]) - by), *words[place + 1 :]]


def with_filter(text: str, words: list[str]) -> list[str]:
    """Change the audio on its way."""
    return [*words[:-3], "-af", text, *words[-3:]]


def test_audio_that_begins_later_keeps_its_distance(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", 8.0, "-af", "asetpts=PTS+1.5/TB", rate=50)
    work = tmp_path / "work"
    made = cut_clip(request(work, 0.5, 4.5), of(film), work)
    assert made.media.offset_s == pytest.approx(1.0, abs=0.1)


def test_damage_counts_where_the_clip_is(films: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(films["video"].read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = bytes(20_000)
    film = tmp_path / "film.mp4"
    film.write_bytes(data)
    work = tmp_path / "work"
    assert cut_clip(request(work, 0.0, 3.0), of(film), work).how == "cut"
    for start, end in ((8.0, 12.0), (0.0, float("inf"))):
        with pytest.raises(KnownError) as caught:
            cut_clip(request(work, start, end), of(film), work)
        assert caught.value.reason is Reason.CORRUPT


def test_frame_that_decodes_with_damage_is_corrupt(films: dict[str, Path], tmp_path: Path) -> None:
    with av.open(str(films["clip"])) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][40]
    assert packet.pos is not None
    data = bytearray(films["clip"].read_bytes())
    for place in range(packet.pos + packet.size // 2, packet.pos + packet.size // 2 + 60):
        data[place] ^= 0xFF
    film = tmp_path / "film.mp4"
    film.write_bytes(data)
    with pytest.raises(KnownError, match=r"the video is damaged 1\.\d+ s into the file"):
        cut_clip(request(tmp_path / "work", 0.0, 3.0, "clip"), of(film), tmp_path / "work")


def test_long_files_are_looked_at_by_their_key_frames(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", 660.0, "-an", size="64x48", rate=5)
    work = tmp_path / "work"
    whole = request(work, 0.0, float("inf"), "clip")
    assert cut_clip(whole, of(film), work).how == "as_is"
    data = bytearray(film.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200_000] = bytes(200_000)
    film.write_bytes(data)
    with pytest.raises(KnownError) as caught:
        cut_clip(whole, of(film), work)
    assert caught.value.reason is Reason.CORRUPT


def test_clip_that_was_cut_between_key_frames_is_taken(
    films: dict[str, Path], tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    with av.open(str(films["video"])) as source, av.open(str(film), "w") as copy:
        stream = source.streams.video[0]
        target = copy.add_stream_from_template(stream)
        base = stream.time_base or 0
        for packet in source.demux(stream):
            if packet.pts is not None and 3.0 <= float(packet.pts * base) < 9.0:
                packet.stream = target
                copy.mux(packet)
    with av.open(str(film)) as container:
        first = next(container.demux(video=0))
    assert not first.is_keyframe
    assert first.pos is not None
    data = bytearray(film.read_bytes())  # and what stands first cannot be decoded at all
    data[first.pos : first.pos + first.size] = b"\xff" * first.size
    film.write_bytes(data)
    work = tmp_path / "work"
    assert cut_clip(request(work, 0.0, float("inf"), "clip"), of(film), work).how == "as_is"


def test_playlist_that_calls_itself_a_film_is_not_opened(tmp_path: Path) -> None:
    playlist, script = "#EXTM3U\n#EXTINF:3,\n/etc/hostname\n", "ffconcat version 1.0\nfile /etc/x\n"
    for text in (playlist, script):
        path = tmp_path / "film.mp4"
        path.write_text(text)
        with pytest.raises(KnownError) as caught:
            read_tracks(path)
        assert caught.value.reason is Reason.CORRUPT


@pytest.mark.parametrize(
    ("duration", "size", "section"),
    [
        (25.0, 10**9, False),  # hardly longer than the clip
        (120.0, None, False),
        (3600.0, None, True),
        (3600.0, 10**6, False),  # an hour, but small
        (None, None, False),
    ],
)
def test_rule_of_section_or_whole(duration: float | None, size: int | None, section: bool) -> None:
    assert by_section(10.0, duration, size, 50 * 2**20) is section
