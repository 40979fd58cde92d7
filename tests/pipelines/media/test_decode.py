"""One decode: the authors' frames, the second grid, and media that breaks naive readers."""

import errno
import io
import math
import subprocess
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.media.containers import DEMUXERS
from pipelines.media.decode import ClipDecoder, ClipFile, Window, find_window
from pipelines.media.ffmpeg import ffmpeg_version
from pipelines.media.frames import ImageFile
from pipelines.media.probe import Probe, Track, probe
from pipelines.media.reader import MediaReader
from schemas import RECIPES, Clip, ClipMedia, KnownError, Reason, Recipe
from schemas.machine.ffmpeg import ffmpeg_binary
from tests.pipelines.conftest import make_clip

RECIPE = RECIPES["llp-eccv20"]


def whole(path: Path) -> Clip:
    return Clip(path.stem, 0.0, math.inf, name=path.stem)


def decode_file(
    path: Path, work: Path, clip: Clip | None = None, recipe: Recipe = RECIPE, *, cut: bool = True
) -> ClipMedia:
    wanted, tracks = clip or whole(path), probe(path)
    window = find_window(wanted, tracks, cut=cut)
    with closing(MediaReader()) as reader:
        decoder = ClipDecoder(recipe, reader, timeout_s=60)
        return decoder.decode(ClipFile(wanted, path, tracks, window), work)


def pixels(jpeg: bytes) -> NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(np.int16)


def test_frames_are_those_of_the_llp_authors(shared: Path, tmp_path: Path) -> None:
    clip = Clip("BjCEufrlXm4", 20.0, 30.0)
    media = decode_file(shared / "clips/labelled/BjCEufrlXm4_20_30.mp4", tmp_path, clip)
    ours = ImageFile(tmp_path / "frames.images")
    theirs = sorted((shared / "clips/llp_frames").glob("*.jpg"))
    assert len(ours) == len(theirs) == 82
    differences = [
        np.abs(pixels(ours.image(i)) - pixels(path.read_bytes())) for i, path in enumerate(theirs)
    ]
    largest = max(int(one.max()) for one in differences)
    mean = float(np.mean([one.mean() for one in differences]))
    if ffmpeg_version().startswith("5.1"):
        assert largest == 0  # the JPEGs differ in nothing but the encoder's name
        assert sum(len(ours.image(i)) for i in range(82)) == 402_715
    else:  # ffmpeg 9.0.2 picks the same frames and encodes them a little otherwise
        assert mean < 1.0
        assert largest < 40
    assert media.frames is not None
    picked = [0, 1, 19, 20, 40, 59, 60, 79]
    expected = np.round(np.linspace(0, 81, 80)).astype(int)[picked]
    for index, place in zip(picked, expected, strict=True):
        np.testing.assert_array_equal(media.frames[index], pixels(ours.image(int(place))))


def test_sound_is_ten_seconds_on_the_grid(shared: Path, tmp_path: Path) -> None:
    clip = Clip("BjCEufrlXm4", 20.0, 30.0)
    media = decode_file(shared / "clips/labelled/BjCEufrlXm4_20_30.mp4", tmp_path, clip)
    assert media.waveform is not None
    assert media.waveform.shape == (160_000,)
    assert media.waveform.dtype == np.float32
    assert 0.01 < np.abs(media.waveform).max() <= 1.0
    assert media.audio_valid.all()
    assert media.frames_valid.all()


@pytest.mark.parametrize(
    ("name", "snippets", "heard", "seen"),
    [
        ("av1_video.mkv", 5, 0, 5),
        ("edts.mp4", 9, 9, 9),
        ("nasa_13013.mp4", 13, 13, 13),
        ("no_duration.webm", 5, 5, 5),
        ("realshort.mp4", 1, 1, 1),
        ("test5.webm", 1, 1, 0),
        ("with-attached-pic.mp3", 1, 1, 0),
        ("zero-frame.ts", 2, 2, 0),
    ],
)
def test_odd_media_end_on_the_grid(
    shared: Path, tmp_path: Path, name: str, snippets: int, heard: int, seen: int
) -> None:
    media = decode_file(shared / "clips/odd" / name, tmp_path)
    assert media.n_snippets == snippets
    assert (int(media.audio_valid.sum()), int(media.frames_valid.sum())) == (heard, seen)
    assert (media.waveform is None, media.frames is None) == (heard == 0, seen == 0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Mpeg4.mp4", Reason.NO_STREAMS),
        ("out.mp4", Reason.CORRUPT),
        ("mp4-with-audio.mp4", Reason.TOO_SHORT),
        ("test_non_zero_start.mp4", Reason.TOO_SHORT),
        ("video_90.mov", Reason.TOO_SHORT),
    ],
)
def test_odd_media_fail_with_their_reason(
    shared: Path, tmp_path: Path, name: str, reason: Reason
) -> None:
    with pytest.raises(KnownError) as caught:
        decode_file(shared / "clips/odd" / name, tmp_path)
    assert caught.value.reason is reason


def test_rotated_film_is_upright(shared: Path, tmp_path: Path) -> None:
    media = decode_file(shared / "clips/odd/rotate-buck-bunny.mp4", tmp_path)
    assert media.frames is not None
    assert media.frames[0].shape == (1920, 1080, 3)


def test_short_file_leaves_seconds_absent(shared: Path, tmp_path: Path) -> None:
    clip = Clip("vas_dog_02677", 0.0, 10.0)
    media = decode_file(shared / "clips/labelled/vas_dog_02677.mp4", tmp_path, clip)
    assert media.n_snippets == 10
    assert media.audio_valid.tolist() == [True] * 6 + [False] * 4
    assert media.frames is not None
    assert len(media.frames) == 80
    np.testing.assert_array_equal(media.frames[79], media.frames[47])
    assert media.waveform is not None
    assert not media.waveform[7 * 16_000 :].any()


def test_whole_video_is_cut_at_the_clip(shared: Path, tmp_path: Path) -> None:
    path = shared / "clips/odd/nasa_13013.mp4"
    clip = Clip("nasa_13013", 4.0, 9.0)
    assert find_window(clip, probe(path), cut=False) == Window(4.0, 5.0)
    (tmp_path / "cut").mkdir()
    (tmp_path / "all").mkdir()
    cut = decode_file(path, tmp_path / "cut", clip, cut=False)
    everything = decode_file(path, tmp_path / "all")
    assert cut.waveform is not None
    assert everything.waveform is not None
    difference = np.abs(cut.waveform - everything.waveform[4 * 16_000 : 9 * 16_000])
    assert difference[400:-400].max() < 0.02  # resampler and decoder start anew at the cut


@pytest.mark.parametrize("name", ["script.mp4", "No space left on device\n.mp4"])
def test_script_that_passed_the_probe_gives_no_sample(tmp_path: Path, name: str) -> None:
    make_clip(tmp_path / "neighbour.mp4", 2.0)
    path = tmp_path / name  # a name that speaks of a full disk must not end the job
    path.write_text("ffconcat version 1.0\nfile neighbour.mp4\n")
    tracks = Probe(Track(0, 2.0, 25.0), Track(1, 2.0, 44100.0, 1))
    decoder = ClipDecoder(RECIPE, MediaReader(), timeout_s=60)
    with pytest.raises(KnownError) as caught:
        decoder.decode(ClipFile(whole(path), path, tracks, Window(0.0, 2.0)), tmp_path)
    assert caught.value.reason is Reason.CORRUPT


def test_ffmpeg_may_open_local_files_in_media_containers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def fail(command: list[str], **_: object) -> int:
        commands.append(command)
        return 1

    monkeypatch.setattr("pipelines.media.decode.run_child", fail)
    path = make_clip(tmp_path / "clip.mp4", 3.0)
    with pytest.raises(KnownError):
        decode_file(path, tmp_path, Clip("clip", 1e-05, 1.00001), cut=False)
    for command in commands:
        options = command[: command.index("-i")]
        assert options[options.index("-protocol_whitelist") + 1] == "file"
        assert options[options.index("-format_whitelist") + 1].split(",") == list(DEMUXERS)
        assert {"concat", "hls", "dash", "image2", "sdp"}.isdisjoint(DEMUXERS)
        assert options[options.index("-ss") + 1] == "0.00001"
    assert len(commands) == 3  # both tracks, then each by itself


def test_clip_that_fills_the_disk_is_too_large_or_the_disk_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(tmp_path / "clip.mp4", 2.0)
    tracks = probe(path)
    file = ClipFile(whole(path), path, tracks, find_window(whole(path), tracks, cut=True))

    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=40_000))

    def ending(little_room: int) -> Exception:
        decoder = ClipDecoder(RECIPE, MediaReader(), room_share=0.5, little_room=little_room)
        with pytest.raises((KnownError, OSError)) as caught:
            decoder.decode(file, tmp_path)
        return caught.value

    assert getattr(ending(20_001), "errno", None) == errno.ENOSPC
    error = ending(20_000)
    assert isinstance(error, KnownError)
    assert error.reason is Reason.TOO_LARGE


def test_clip_that_spans_more_than_eight_hours_is_too_large() -> None:
    short = Probe(Track(0, 30.0, 25.0), None)
    assert find_window(Clip("x", 0.0, 8 * 3600.0), short, cut=True).length_s == 8 * 3600 + 1
    with pytest.raises(KnownError) as caught:
        find_window(Clip("x", 0.0, 8 * 3600.5), short, cut=True)
    assert caught.value.reason is Reason.TOO_LARGE


def test_clip_after_the_end_is_too_short() -> None:
    short = Probe(Track(0, 30.0, 25.0), None)
    with pytest.raises(KnownError) as caught:
        find_window(Clip("x", 40.0, 50.0), short, cut=False)
    assert caught.value.reason is Reason.TOO_SHORT


CLEAN = RECIPES["clean"]


def film(path: Path, filters: str) -> Path:
    """Two seconds of grey whose level tells the number of the frame, without loss."""
    source = "color=black:size=64x48:rate=25:duration=2,format=gray,geq=lum='mod(N*5,250)'"
    command = [ffmpeg_binary(), "-v", "error", "-y", "-f", "lavfi", "-i", source]
    command += ["-vf", f"settb=1/1000,{filters}", "-fps_mode", "passthrough"]
    command += ["-enc_time_base", "1/1000", "-c:v", "ffv1", str(path)]
    subprocess.run(command, check=True)
    return path


def levels(media: ClipMedia) -> list[int]:
    assert media.frames is not None
    return [round(float(media.frames[i].mean())) for i in range(len(media.frames))]


def clean(path: Path, work: Path) -> ClipMedia:
    return decode_file(path, work, recipe=CLEAN)


def test_clean_recipe_follows_time_stamps_of_variable_rate(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", "setpts=N*N")  # frame n is shown from n^2 ms on
    media = clean(path, tmp_path)
    assert media.n_snippets == 2
    shown = [math.isqrt(int(1000 * (i + 0.5) / 8)) for i in range(16)]
    assert levels(media) == [5 * n for n in shown]


def test_clean_recipe_counts_from_the_start_of_the_file(tmp_path: Path) -> None:
    path = film(tmp_path / "late.mkv", "setpts=40*N+7000")
    shown = [int(25 * (i + 0.5) / 8) for i in range(16)]
    assert levels(clean(path, tmp_path)) == [5 * n for n in shown]


@pytest.mark.parametrize("recipe", ["llp-eccv20", "clean"])
def test_sound_that_starts_later_stays_later(tmp_path: Path, recipe: str) -> None:
    path = tmp_path / "later.mkv"
    command = [ffmpeg_binary(), "-v", "error", "-y", "-f", "lavfi", "-i"]
    command += ["testsrc2=size=64x48:rate=25:duration=3", "-itsoffset", "1", "-f", "lavfi"]
    command += ["-i", "sine=frequency=440:duration=2", "-c:a", "pcm_s16le", str(path)]
    subprocess.run(command, check=True)
    media = decode_file(path, tmp_path, recipe=RECIPES[recipe])
    loud = np.abs(media.waveform_by_second()).mean(axis=1)
    assert media.n_snippets == 3
    assert loud[0] < 1e-3 < loud[1]
    assert loud[2] == pytest.approx(loud[1], rel=0.05)


def test_clean_recipe_keeps_rotated_film_upright(shared: Path, tmp_path: Path) -> None:
    upright = decode_file(shared / "clips/odd/rotate-buck-bunny.mp4", tmp_path)
    assert upright.frames is not None
    first = upright.frames[3].astype(float)
    (tmp_path / "clean").mkdir()
    media = clean(shared / "clips/odd/rotate-buck-bunny.mp4", tmp_path / "clean")
    assert media.frames is not None
    assert media.frames[3].shape == (1920, 1080, 3)
    assert np.abs(media.frames[3] - first).mean() < 12  # upside down it would be several times that


class BrokenReader(MediaReader):
    """Finds no frame."""

    def frames_at(self, *_: object, **__: object) -> tuple[ImageFile, list[int]]:
        raise KnownError(Reason.CORRUPT, "no frame could be decoded")


def test_broken_video_leaves_the_audio(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", 2.0)
    tracks = probe(path)
    window = find_window(whole(path), tracks, cut=True)
    decoder = ClipDecoder(CLEAN, BrokenReader(), timeout_s=60)
    media = decoder.decode(ClipFile(whole(path), path, tracks, window), tmp_path)
    assert media.frames is None
    assert not media.frames_valid.any()
    assert media.audio_valid.all()
