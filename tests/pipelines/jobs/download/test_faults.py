"""Clips whose way here is bad: each ends right, passing faults recover, nothing comes twice."""

from collections import Counter
from pathlib import Path

import av
import numpy as np

from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    counts,
    make_film,
    read_media,
    reasons,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.server import Fault, Site

ALWAYS: dict[str, tuple[str, str]] = {
    "404": ("404", "gone"),
    "410": ("410", "gone"),
    "403": ("403", "private"),
    "451": ("451", "geo_blocked"),
    "500": ("500", "network"),
    "reset": ("reset", "network"),
    "truncation": ("truncation", "network"),
    "html": ("html", "format"),
    "redirect": ("redirect", "network"),
    "huge": ("huge", "too_large"),
    "playlist": ("playlist", "unsafe_input"),
    "drip": ("drip", "timeout"),
    "stall": ("stall", "timeout"),
}
"""Name to the fault and the reason that it must end with when it never passes."""
PASSING = ("500", "503", "reset", "truncation", "429", "redirect")
"""Faults that are there for the first request or two only."""


def set_up(site: Site, films: dict[str, Path], folder: Path, *, good: int, each: int) -> Path:
    """Clips on a mirror: good ones, each fault for good, passing faults, wrong lengths."""
    names = [f"good{i:05d}" for i in range(good)]
    for kind, (fault, _) in ALWAYS.items():
        slow = kind in ("drip", "stall")
        for i in range(1 if slow else each):
            names.append(f"{kind}_for_good{i}")
            site.faults[path_of(names[-1])] = Fault(fault)
    for kind in PASSING:
        for i in range(each):
            names.append(f"{kind}_passing{i}")
            wait = "1" if kind == "429" else ""
            site.faults[path_of(names[-1])] = Fault(
                kind, 1 if kind in ("429", "redirect") else 2, wait
            )
    for name in names:
        site.files[path_of(name)] = films["clip"]
    for name, film in (("wrong_longer", "video"), ("wrong_shorter", "short")):
        names.append(name)
        site.files[path_of(name)] = films[film]
    site.files[path_of("corrupt")] = b"\0" * 5000
    site.files[path_of("cut_off")] = cut_off(films["clip"])
    names += ["corrupt", "cut_off"]
    return write_clips(folder, [(name, 0.0, 3.0) for name in names])


def path_of(name: str) -> str:
    """Where the mirror has a clip."""
    return f"/clips/{clip_key(name, 0.0, 3.0)}.mp4"


def cut_off(film: Path) -> bytes:
    """A file whose header comes first and whose second half is missing."""
    import subprocess

    from schemas.machine.ffmpeg import ffmpeg_binary

    words = ["-v", "error", "-i", str(film), "-c", "copy", "-movflags", "+faststart"]
    target = film.with_name("faststart.mp4")
    subprocess.run([ffmpeg_binary(), "-y", *words, str(target)], check=True)
    data = target.read_bytes()
    return data[: len(data) * 6 // 10]


def run_faults(
    site: Site, clips: Path, download: Download, media: Path, timeout: float, parallel: int = 3
) -> Counter[str]:
    """Download, check every clip's fate, and give the counts by reason."""
    more = ["--source", f"{site.address}/clips/{{clip_key}}.mp4", "--clip-timeout", timeout]
    more += ["--max-mb", 100, "--tries", 2, "--patience-minutes", 1, "--parallel", parallel]
    more += ["--max-failed", 1]
    done = download(clips, *more, media=media)
    assert done.returncode == 0, done.stderr[-2000:]
    found = reasons(media)
    for key, reason in found.items():
        name = key.rsplit("_", 2)[0]
        kind, _, rest = name.partition("_")
        assert "passing" not in rest, f"{name} did not recover: {reason}"
        if rest.startswith("for_good"):
            assert reason == ALWAYS[kind][1], name
    by_name = {key.rsplit("_", 2)[0]: reason for key, reason in found.items()}
    assert by_name["wrong_longer"] == "format"
    assert by_name["corrupt"] == by_name["cut_off"] == "corrupt"
    rows = read_media(media)
    assert not rows.keys() & found.keys()
    short = rows[clip_key("wrong_shorter", 0.0, 3.0)]
    assert short["shorter"]
    assert abs(short["real_end_s"] - 1.2) < 0.1
    assert {path.stem for path in media.glob("*.mp4")} == rows.keys()
    return Counter(found.values())


def test_every_fault_ends_with_its_reason(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    clips = set_up(site, films, tmp_path / "clips", good=6, each=1)
    media = tmp_path / "media"
    run_faults(site, clips, download, media, timeout=2, parallel=2)
    total = counts(media)
    assert total["clips_in"] == total["clips_done"] + total["clips_failed"]
    assert total["clips_done"] == 6 + len(PASSING) + 1
    asked = site.clips_asked()
    passing = {path_of("500_for_good0"), path_of("reset_for_good0"), path_of("redirect_for_good0"),
               path_of("truncation_for_good0"), path_of("drip_for_good0"),
               path_of("stall_for_good0")}  # fmt: skip
    more = ["--source", f"{site.address}/clips/{{clip_key}}.mp4", "--clip-timeout", 3]
    more += ["--max-mb", 100, "--tries", 1, "--retry", "network,timeout", "--parallel", 2]
    more += ["--max-failed", 1]
    again = download(clips, *more, media=media)
    assert again.returncode == 0, again.stderr[-2000:]
    now = site.clips_asked()
    assert {path for path in now if now[path] != asked[path]} == passing
    for path in passing:
        site.faults.pop(path)
    assert download(clips, *more, media=media).returncode == 0
    assert counts(media)["clips_done"] == total["clips_done"] + len(passing)
    assert "Nothing was left to do" in download(clips, *more, media=media).stdout


def test_permanent_failures_are_asked_again_only_by_name(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0), ("two", 0.0, 3.0)])
    site.files[path_of("one")] = films["clip"]
    source = ("--source", f"{site.address}/clips/{{clip_key}}.mp4")
    first = download(clips, *source)
    assert first.returncode == 0
    assert "with --retry gone" in " ".join(first.stdout.split())
    assert f"--annotations {clips}" in first.stdout  # the next command names them too
    assert reasons(tmp_path / "media") == {"two_0_3": "gone"}
    site.files[path_of("two")] = films["clip"]
    assert "Nothing was left" in download(clips, *source).stdout
    assert download(clips, *source, "--retry", "gone").returncode == 0
    assert counts(tmp_path / "media")["clips_failed"] == 0
    assert site.clips_asked() == {path_of("one"): 1, path_of("two"): 2}


def test_clip_whose_file_vanished_is_fetched_again(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0), ("two", 0.0, 3.0)])
    site.files |= {path_of("one"): films["clip"], path_of("two"): films["clip"]}
    source = ("--source", f"{site.address}/clips/{{clip_key}}.mp4")
    assert download(clips, *source).returncode == 0
    (tmp_path / "media" / "two_0_3.mp4").unlink()
    assert download(clips, *source).returncode == 0
    assert counts(tmp_path / "media")["clips_done"] == 2
    assert site.clips_asked() == {path_of("one"): 1, path_of("two"): 2}


def test_video_of_the_site_is_cut_to_the_clip(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    names = [youtube_id(i) for i in range(4)]
    clips = write_clips(
        tmp_path / "clips",
        [(name, start, start + 3.0) for name, start in zip(names, (0, 5.5, 18, 25), strict=True)],
    )
    site.files["/film.mp4"] = films["video"]
    for name in names:
        site.play(name, "/film.mp4", 20.0)
    done = download(clips, "--hosts", "127.0.0.1", "--videos-per-hour", 0)
    assert done.returncode == 0, done.stderr[-2000:]
    media = tmp_path / "media"
    rows = read_media(media)
    assert reasons(media) == {clip_key(names[3], 25.0, 28.0): "too_short"}
    middle = rows[clip_key(names[1], 5.5, 8.5)]
    assert (middle["how"], middle["source"], middle["format_id"]) == ("cut", "youtube", "18")
    assert abs(middle["duration_s"] - 3.0) <= 0.2
    assert abs(middle["offset_s"]) <= 0.1
    last = rows[clip_key(names[2], 18.0, 21.0)]
    assert last["shorter"]
    assert abs(last["real_end_s"] - 20.0) < 0.2


def test_best_picture_under_the_cap_and_best_sound_are_chosen(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    name = youtube_id(0)
    site.play(name, "/both.mp4", 20.0)
    video = {"mimeType": 'video/mp4; codecs="avc1.4d4015"', "quality": "medium", "fps": 25}
    heard = {"mimeType": 'audio/mp4; codecs="mp4a.40.2"', "audioSampleRate": "44100"}
    streams = [
        {"itag": 136, "height": 720, "width": 1280, "bitrate": 2_000_000, **video},
        {"itag": 134, "height": 360, "width": 640, "bitrate": 400_000, **video},
        {"itag": 133, "height": 240, "width": 426, "bitrate": 200_000, **video},
        {"itag": 139, "audioQuality": "AUDIO_QUALITY_ULTRALOW", "bitrate": 48_000, **heard},
        {"itag": 140, "audioQuality": "AUDIO_QUALITY_MEDIUM", "bitrate": 128_000, **heard},
    ]
    for stream in streams:
        stream |= {"url": f"{site.address}/{stream['itag']}", "approxDurationMs": "20000"}
    site.videos[name]["streamingData"]["adaptiveFormats"] = streams
    site.files["/134"] = make_film(tmp_path / "video.mp4", 20.0, "-an")
    site.files["/140"] = make_film(tmp_path / "audio.m4a", 20.0, "-vn")
    clips = write_clips(tmp_path / "clips", [(name, 6.5, 9.5)])
    more = ("--hosts", "127.0.0.1", "--videos-per-hour", 0)
    done = download(clips, *more, "--youtube-args", "formats=missing_pot")
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = read_media(tmp_path / "media").values()
    assert (row["format_id"], row["how"]) == ("134+140", "cut")
    assert (row["video_codec"], row["audio_codec"]) == ("h264", "aac")
    assert abs(row["duration_s"] - 3.0) <= 0.2
    assert {one.path for one in site.asked} == {f"/watch/{name}", "/134", "/140"}


def test_section_of_a_large_video_is_the_same_clip(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    name = youtube_id(0)
    clips = write_clips(tmp_path / "clips", [(name, 14.5, 17.5)])
    site.files["/film.mp4"] = films["video"]
    site.play(name, "/film.mp4", 20.0)
    more = ("--hosts", "127.0.0.1", "--videos-per-hour", 0)
    frames = {}
    for how, above in (("cut", 50), ("section", 0)):
        media = tmp_path / how
        done = download(clips, *more, "--section-above-mb", above, media=media)
        assert done.returncode == 0, done.stderr[-2000:]
        key = clip_key(name, 14.5, 17.5)
        row = read_media(media)[key]
        assert (row["how"], row["real_start_s"]) == (how, 14.5)
        assert abs(row["duration_s"] - 3.0) <= 0.2
        with av.open(str(media / f"{key}.mp4")) as container:
            frame = next(container.decode(video=0)).to_ndarray(format="gray")
        frames[how] = frame.astype(np.float32)
    assert np.abs(frames["cut"] - frames["section"]).mean() < 1.0
