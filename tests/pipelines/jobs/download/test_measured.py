"""`make bench`: the download against a local server, in numbers; writes docs/benchmarks."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.bench.machine import describe
from tests.pipelines.conftest import Beam
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
from tests.pipelines.jobs.download.hls import files_of, itagged, make_chirp, make_hls, run_ffmpeg
from tests.pipelines.jobs.download.server import Fault, Site
from tests.pipelines.jobs.download.test_faults import path_of, run_faults, set_up
from tests.pipelines.jobs.download.test_hostile import hostile_names
from tests.pipelines.jobs.download.test_job import kill_and_resume, mirror, words
from tests.places import BENCHMARKS, ROOT

OUT = BENCHMARKS / "download.json"
pytestmark = pytest.mark.bench


def note(name: str, found: dict[str, Any]) -> None:
    """Add one measurement to the file."""
    known = json.loads(OUT.read_text()) if OUT.exists() else {}
    known |= {"machine": describe(), name: found}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(known, indent=1) + "\n")


def run_job(command: list[str], watch: Callable[[psutil.Process], None] | None = None) -> float:
    """Run `beam` as a process of its own; wall seconds."""
    started = time.monotonic()
    job = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *command],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    if watch is not None:
        threading.Thread(target=watch, args=(psutil.Process(job.pid),), daemon=True).start()
    _, said = job.communicate()
    assert job.returncode == 0, said[-2000:]
    return time.monotonic() - started


def test_two_hundred_clips_with_faults(
    site: Site,
    films: dict[str, Path],
    tmp_path: Path,
    download: Download,
) -> None:
    clips = set_up(site, films, tmp_path / "clips", good=58, each=8)
    media = tmp_path / "media"
    started = time.monotonic()
    failed = run_faults(site, clips, download, media, timeout=5)
    seconds = time.monotonic() - started
    first = site.clips_asked()
    total = counts(media)
    assert total["clips_in"] == 200
    for path in [path for path, fault in site.faults.items() if fault.kind in ("drip", "stall")]:
        site.faults.pop(path)
    more = ("--source", f"{site.address}/clips/{{clip_key}}.mp4", "--max-mb", 100, "--tries", 1)
    assert download(clips, *more, "--max-failed", 1, media=media).returncode == 0
    second = site.clips_asked() - first
    passing = {
        path_of(f"{kind}_for_good{i}")
        for kind in ("500", "reset", "truncation", "redirect", "drip", "stall")
        for i in range(8)
    }
    assert second.keys() <= passing
    note("faults", {
        "clips": 200, "seconds": round(seconds, 1), "done": total["clips_done"],
        "failed_by_reason": dict(failed), "requests": sum(first.values()),
        "second_run_asked_for": len(second), "second_run_done": counts(media)["clips_done"],
    })  # fmt: skip


def test_ten_kills(site: Site, films: dict[str, Path], tmp_path: Path, beam: Beam) -> None:
    clips, source = mirror(site, films["clip"], tmp_path / "clips", 1500)
    found = kill_and_resume(site, clips, source, tmp_path, beam, kills=10, n=1500, within_s=1.0)
    note("kills", found)


def test_bytes_of_ten_seconds_out_of_ten_minutes(
    site: Site, tmp_path: Path, download: Download
) -> None:
    film = make_chirp(tmp_path / "film.mp4", 600.0, "-movflags", "+faststart")
    site.files = {"/film.mp4": film, "/late.mp4": tmp_path / "late.mp4"}
    run_ffmpeg("-i", film, "-c", "copy", tmp_path / "late.mp4")
    size, start = film.stat().st_size, 300.7
    found: dict[str, Any] = {"video": "600 s, 160x120, H.264 and AAC", "bytes": size}
    for number, form in enumerate(("ts", "fmp4", "apart", "file", "index_last", "whole")):
        name = youtube_id(number)
        if form in ("file", "index_last", "whole"):
            path = "/film.mp4" if form == "file" else "/late.mp4"
            site.play(name, path, 600.0, contentLength=str(size))
        else:
            folder = make_hls(tmp_path / form, film, form)
            site.files |= (itagged if form == "apart" else files_of)(folder, f"/{form}")
            site.play_hls(name, f"/{form}/master.m3u8", 600.0)
        clips = write_clips(tmp_path / f"clips_{form}", [(name, start, start + 10.0)])
        more = ["--hosts", "127.0.0.1", "--videos-per-hour", 0]
        more += ["--section-above-mb", 1000] if form == "whole" else ["--section-above-mb", 0]
        before, media = len(site.asked), tmp_path / f"media_{form}"
        assert download(clips, *more, media=media).returncode == 0
        (row,) = read_media(media).values()
        found[form] = {
            "how": row["how"], "fetched_bytes": row["fetched_bytes"],
            "share": round(row["fetched_bytes"] / size, 4),
            "sent_bytes": sum(one.n_bytes for one in site.asked[before:]),
            "requests": len(site.asked) - before,
        }  # fmt: skip
        assert form == "whole" or found[form]["share"] <= 0.15
    before = len(site.asked)
    target = tmp_path / "seeked.mp4"
    run_ffmpeg("-ss", start, "-i", f"{site.address}/film.mp4", "-t", 10, "-c", "copy", target)
    sent = sum(one.n_bytes for one in site.asked[before:])
    found["ffmpeg_seeking"] = {"sent_bytes": sent, "share": round(sent / size, 4)}
    note("bytes", found)


def test_four_workers_and_two_identities_keep_the_pace(
    site: Site,
    films: dict[str, Path],
    tmp_path: Path,
) -> None:
    pace = 900.0
    names = [youtube_id(i) for i in range(40)]
    site.files["/film.mp4"] = films["clip"]
    for name in names:
        site.play(name, "/film.mp4", 3.0)
    (tmp_path / "identities.json").write_text(
        '[{"name": "home", "user_agent": "home/1"}, {"name": "lab", "user_agent": "lab/1"}]'
    )
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    command = words(clips, "youtube", tmp_path / "media", tmp_path / "state")
    command += ["--hosts", "127.0.0.1", "--identities", str(tmp_path / "identities.json")]
    command += ["--videos-per-hour", str(pace), "--parallel", "1", "--unit-size", "2"]
    command += ["--direct_running_mode=multi_processing", "--direct_num_workers=4"]
    seconds = run_job(command)
    found: dict[str, Any] = {"videos": 40, "pace_an_hour": pace, "seconds": round(seconds, 1)}
    for name in ("home", "lab"):
        moments = sorted(
            one.at for one in site.asked if one.agent == f"{name}/1" and "/watch/" in one.path
        )
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        an_hour = len(gaps) / (moments[-1] - moments[0]) * 3600
        found[name] = {
            "videos": len(moments), "an_hour": round(an_hour),
            "shortest_gap_s": round(min(gaps), 2), "longest_gap_s": round(max(gaps), 2),
        }  # fmt: skip
        assert an_hour <= pace * 1.01
        assert min(gaps) >= 3600 / pace - 0.3  # a request goes out a little after its leave
    note("budget", found)


def test_breaker_opens_and_closes(
    site: Site,
    films: dict[str, Path],
    tmp_path: Path,
) -> None:
    names = [youtube_id(i) for i in range(12)]
    site.files["/film.mp4"] = films["clip"]
    for name in names:
        site.play(name, "/film.mp4", 3.0)
    site.faults[f"/watch/{names[0]}"] = Fault("429", 4)  # three open it, one more keeps it open
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    command = words(clips, "youtube", tmp_path / "media", tmp_path / "state")
    command += ["--hosts", "127.0.0.1", "--videos-per-hour", "0", "--parallel", "1"]
    command += ["--breaker-minutes", "0.1"]
    run_job(command)
    asked = [one for one in site.asked if "/watch/" in one.path]
    gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(asked)]
    found = {
        "breaker_s": 6.0, "videos": 12, "done": counts(tmp_path / "media")["clips_done"],
        "answers": [one.status for one in asked], "gaps_s": [round(gap, 1) for gap in gaps],
    }  # fmt: skip
    assert found["done"] == 12
    assert max(gaps) >= 6.0
    note("breaker", found)


def test_thousand_hostile_names(
    site: Site,
    films: dict[str, Path],
    tmp_path: Path,
    download: Download,
) -> None:
    names = [
        name
        for name in dict.fromkeys(hostile_names(2500))
        if not set(name) & set(',"#')
        and name.strip() == name
        and name
        and not any(unicodedata.category(letter) == "Cc" for letter in name)
    ][:1000]  # a list with control characters is refused as a whole
    assert len(names) == 1000
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    assert download(clips, "--source", f"{site.address}/{{clip_key}}.mp4").returncode == 1
    media = tmp_path / "media"
    assert counts(media)["clips_in"] == 1000
    assert not list(media.glob("*.mp4"))
    found = Counter(reasons(media).values())
    note("hostile", {"names": 1000, "by_reason": dict(found), "requests": len(site.asked)})


def test_speed_and_memory(site: Site, tmp_path: Path) -> None:
    film = make_film(tmp_path / "ten.mp4", 10.0)
    site.files = dict.fromkeys(
        (f"/clips/{clip_key(f'video{i:05d}', 0.0, 10.0)}.mp4" for i in range(2000)),
        film.read_bytes(),
    )
    clips = write_clips(tmp_path / "clips", [(f"video{i:05d}", 0.0, 10.0) for i in range(2000)])
    source = f"{site.address}/clips/{{clip_key}}.mp4"
    memory: list[tuple[int, float]] = []

    def watch(job: psutil.Process) -> None:
        while job.is_running():
            try:
                every = [job, *job.children(recursive=True)]
                size = sum(one.memory_info().rss for one in every) / 2**20
            except psutil.NoSuchProcess:
                continue
            memory.append((len(site.asked), size))
            time.sleep(0.25)

    command = words(clips, source, tmp_path / "media", tmp_path / "state")
    seconds = run_job([*command, "--unit-size", "100"], watch)
    assert counts(tmp_path / "media")["clips_done"] == 2000
    moments = [one.at for one in site.asked]
    quarters = {}
    for quarter in range(4):
        sizes = [size for asked, size in memory if quarter * 500 <= asked - 1 < (quarter + 1) * 500]
        quarters[f"quarter{quarter + 1}"] = round(sum(sizes) / len(sizes))
    note("speed", {
        "clips": 2000, "clip": "10 s, 320x240, H.264 and AAC", "bytes": film.stat().st_size,
        "parallel": 2, "seconds_with_start": round(seconds, 1),
        "clips_a_second": round(1999 / (moments[-1] - moments[0]), 1),
        "memory_mb": quarters, "most_memory_mb": round(max(size for _, size in memory)),
    })  # fmt: skip
    assert quarters["quarter4"] < 1.1 * quarters["quarter2"]


def test_speed_where_every_clip_is_cut(site: Site, tmp_path: Path) -> None:
    film = make_film(tmp_path / "twenty.mp4", 20.0)
    names = [youtube_id(i) for i in range(40)]
    site.files["/film.mp4"] = film
    for name in names:
        site.play(name, "/film.mp4", 20.0)
    clips = write_clips(tmp_path / "clips", [(name, 5.0, 15.0) for name in names])
    command = words(clips, "youtube", tmp_path / "media", tmp_path / "state")
    run_job([*command, "--hosts", "127.0.0.1", "--videos-per-hour", "0"])
    rows = read_media(tmp_path / "media").values()
    assert {row["how"] for row in rows} == {"cut"}
    moments = [one.at for one in site.asked if "/watch/" in one.path]
    pace = round((len(moments) - 1) / (moments[-1] - moments[0]), 1)
    note("speed_cut", {"clips": 40, "clip": "10 s out of 20 s, 320x240", "clips_a_second": pace})
