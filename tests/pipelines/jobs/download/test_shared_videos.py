"""Clips of one video: one unit, one start, one fetch, and each clip its own record."""

import json
from pathlib import Path

from pipelines.store.units import ClipTask, into_units_by_video
from schemas import Clip
from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    make_film,
    read_media,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.hls import files_of, make_hls
from tests.pipelines.jobs.download.server import Fault, Site

PACED = ("--hosts", "127.0.0.1", "--videos-per-hour", 0)


def test_clips_of_a_video_stand_in_one_unit() -> None:
    order = "a b c a d b a e".split()
    tasks = [
        ClipTask(Clip(video, float(n), n + 1.0), None, 1, order.count(video) > 1)
        for n, video in enumerate(order)
    ]
    units = [[task.clip.video_id for task in unit.tasks] for unit in into_units_by_video(tasks, 2)]
    assert units == [["c", "d"], ["e"], ["a", "a", "a"], ["b", "b"]]


def test_clips_of_one_video_are_one_start_and_one_fetch(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    whole, parts, other = (youtube_id(i) for i in range(3))
    site.files = {"/film.mp4": films["video"]}
    site.files |= files_of(make_hls(tmp_path / "hls", films["video"], "ts"), "/hls")
    site.play(whole, "/film.mp4", 20.0)
    site.play(other, "/film.mp4", 20.0)
    site.play_hls(parts, "/hls/master.m3u8", 20.0)
    spans = [(0.0, 3.0), (5.5, 8.5), (25.0, 28.0), (14.0, 17.0)]
    clips = write_clips(
        tmp_path / "clips",
        [(name, *span) for span in spans for name in (whole, parts)] + [(other, 2.0, 5.0)],
    )
    done = download(clips, *PACED, "--unit-size", 2)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    media = tmp_path / "media"
    asked = site.clips_asked()
    assert asked[f"/watch/{whole}"] == asked[f"/watch/{parts}"] == 1
    assert asked["/film.mp4"] == 4  # for each of the two videos its beginning, and all of it
    assert max(times for path, times in asked.items() if path.startswith("/hls/")) == 1
    (state,) = (tmp_path / "state").glob("*.json")
    assert json.loads(state.read_text())["asked"] == 3  # of nine clips
    rows = read_media(media)
    assert len(rows) == 7
    assert {row["identity"] for row in rows.values()} == {"default"}
    first, second = (rows[clip_key(whole, *spans[n])]["fetched_bytes"] for n in (0, 1))
    assert first > films["video"].stat().st_size
    assert second == 0
    failed = read_media(media, "failures")
    assert {row["reason"] for row in failed.values()} == {"too_short"}


def test_video_that_is_gone_is_asked_for_once(
    site: Site, tmp_path: Path, download: Download
) -> None:
    gone, lost = youtube_id(0), youtube_id(1)
    site.refuse(gone, "Video unavailable")
    site.faults[f"/watch/{lost}"] = Fault("500")
    spans = [(0.0, 3.0), (5.0, 8.0), (9.0, 12.0)]
    clips = write_clips(
        tmp_path / "clips", [(name, *span) for name in (gone, lost) for span in spans]
    )
    assert download(clips, *PACED, "--tries", 1).returncode == 1
    asked = site.clips_asked()
    assert asked == {f"/watch/{gone}": 1, f"/watch/{lost}": 3}  # what may pass is tried again
    found = {key: row["reason"] for key, row in read_media(tmp_path / "media", "failures").items()}
    assert found == {
        clip_key(name, *span): reason
        for name, reason in ((gone, "gone"), (lost, "network"))
        for span in spans
    }


def test_clip_that_is_its_file_leaves_it_to_the_next(
    site: Site, tmp_path: Path, download: Download
) -> None:
    film = make_film(tmp_path / "film.mp4", 3.0)
    site.files = {"/one.mp4": film}
    clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0), ("one", 0.0, 2.9)])
    done = download(clips, "--source", f"{site.address}/{{video_id}}.mp4")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert site.clips_asked() == {"/one.mp4": 1}
    assert {row["how"] for row in read_media(tmp_path / "media").values()} == {"as_is"}
