"""The download job as a whole: kills, runners, coverage, what a wrong call says, everything."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.store.coverage import Coverage, write_coverage
from pipelines.store.media_store import MediaStore
from schemas import Clip, read_store_manifest
from tests.pipelines.conftest import Beam
from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    counts,
    read_media,
    reasons,
    write_clips,
)
from tests.pipelines.jobs.download.server import Site
from tests.places import ROOT


def mirror(site: Site, film: Path, folder: Path, n: int) -> tuple[Path, str]:
    """Clips of a mirror, all the same film."""
    names = [f"video{i:05d}" for i in range(n)]
    for name in names:
        site.files[f"/clips/{clip_key(name, 0.0, 3.0)}.mp4"] = film
    clips = write_clips(folder, [(name, 0.0, 3.0) for name in names])
    return clips, f"{site.address}/clips/{{clip_key}}.mp4"


def words(clips: Path, source: str, media: Path, state: Path) -> list[str]:
    job = ["run", "download", "--dataset", "audioset", "--annotations", str(clips)]
    return [*job, "--split", "train", "--source", source, "--media", str(media),
            "--state", str(state)]  # fmt: skip


def committed(media: Path) -> set[str]:
    """Clips that a killed job has written down as here: in receipts and journals."""
    store = MediaStore(str(media))
    found = set(store.state().done)
    for path in media.glob("journal/*.jsonl"):
        found |= {one.key for one in store.read_journal(path.stem) if one.row is not None}
    return found


def requests_by_video(site: Site) -> Counter[str]:
    """How often anything of a video was asked for: its file, its page or its fragments."""
    asked: Counter[str] = Counter()
    for path, times in site.clips_asked().items():
        asked[path.split("/")[2].removesuffix(".mp4").removesuffix("_0_3")] += times
    return asked


def start_and_kill(media: Path, command: list[str], after_s: float) -> bool:
    """Kill a job so long after its first new clip stands; whether it was still running."""
    before = len(committed(media))
    job = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(committed(media)) == before and time.monotonic() < deadline:
        if job.poll() is not None:
            break
        time.sleep(0.02)
    time.sleep(after_s)
    running = job.poll() is None
    job.send_signal(signal.SIGKILL)
    job.wait()
    return running


def kill_and_resume(
    site: Site,
    clips: Path,
    source: str,
    tmp_path: Path,
    beam: Beam,
    *,
    kills: int,
    n: int,
    within_s: float,
    more: Sequence[str] = (),
) -> dict[str, int]:
    """Kill the job so many times at any moment, let it end, and check every clip's requests."""
    dice = random.Random(5)
    media = tmp_path / "media"
    given = [*words(clips, source, media, tmp_path / "state"), *more]
    command = [sys.executable, "-m", "pipelines", *given]
    stood: dict[str, int] = {}
    killed = 0
    for _ in range(kills):
        killed += start_and_kill(media, command, dice.uniform(0.0, within_s))
        asked = requests_by_video(site)
        for key in committed(media):
            stood.setdefault(key, asked[key.rsplit("_", 2)[0]])
    done = beam(*command[3:])
    assert done.returncode == 0, done.stderr[-2000:]
    asked = requests_by_video(site)
    twice = [key for key, times in stood.items() if asked[key.rsplit("_", 2)[0]] != times]
    assert not twice, f"committed and fetched again: {twice}"
    assert counts(media)["clips_done"] == n
    assert len(read_media(media)) == len(list(media.glob("*.mp4"))) == n
    assert not list(media.glob(".tmp-*"))
    assert not list(media.glob("journal/*"))
    requests = sum(asked.values())
    return {"killed": killed, "clips": n, "kept": len(stood), "requests": requests}


def test_kills_lose_nothing_and_fetch_nothing_twice(
    site: Site, films: dict[str, Path], tmp_path: Path, beam: Beam
) -> None:
    clips, source = mirror(site, films["clip"], tmp_path / "clips", 40)
    found = kill_and_resume(site, clips, source, tmp_path, beam, kills=1, n=40, within_s=0.3)
    assert found["killed"] >= 1
    assert found["kept"] >= 1
    assert found["requests"] <= 40 + 2 * found["killed"]  # what was on its way


@pytest.mark.parametrize(
    "more",
    [
        ("--direct_runner_bundle_repeat=2",),
        ("--unit-size", "3", "--parallel", "3"),
        ("--direct_running_mode=multi_processing", "--direct_num_workers=2"),
    ],
)
def test_other_ways_to_run_fetch_each_clip_once(
    site: Site, films: dict[str, Path], tmp_path: Path, beam: Beam, more: tuple[str, ...]
) -> None:
    clips, source = mirror(site, films["clip"], tmp_path / "clips", 8)
    media = tmp_path / "media"
    done = beam(*words(clips, source, media, tmp_path / "state"), "--unit-size", "4", *more)
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(site.clips_asked().values()) == {1}
    assert counts(media)["clips_done"] == 8


def test_job_service_fetches_each_clip_once(
    site: Site,
    films: dict[str, Path],
    tmp_path: Path,
    beam: Beam,
    loopback: tuple[str, ...],
) -> None:
    clips, source = mirror(site, films["clip"], tmp_path / "clips", 8)
    media = tmp_path / "media"
    done = beam(*words(clips, source, media, tmp_path / "state"), "--unit-size", "4", *loopback)
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(site.clips_asked().values()) == {1}
    assert counts(media)["clips_done"] == 8
    assert "8 in this run" in done.stdout


def test_coverage_counts_by_split_class_and_reason(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    clips, source = mirror(site, films["clip"], tmp_path / "clips", 4)
    site.files.pop(f"/clips/{clip_key('video00002', 0.0, 3.0)}.mp4")
    assert download(clips, "--source", source).returncode == 0
    media = tmp_path / "media"
    found = json.loads((media / "coverage.json").read_text())
    assert (found["clips"], found["present"], found["missing"]) == (4, 3, {"gone": 1})
    split = found["splits"]["balanced_train"]
    assert split["classes"]["Speech"] == {"clips": 4, "present": 3, "missing": {"gone": 1}}
    assert found["subset_id"] == json.loads((media / "manifest.json").read_text())["subset_id"]
    assert re.match(r"\d{4}-\d\d-\d\dT", found["date"])
    page = (media / "coverage.md").read_text()
    assert "3 of 4 clips are present (75.0%)" in page
    assert "| Speech | 4 | 3 | 75.0 | 1 |" in page


def test_coverage_of_other_splits_is_kept(tmp_path: Path) -> None:
    train = [Clip(f"a{i}", 0.0, 1.0, "train", ("x",)) for i in range(3)]
    test = [Clip(f"b{i}", 0.0, 1.0, "test", ("x",)) for i in range(2)]
    for clips, present in ((train, ["a0_0_1"]), (test, ["b0_0_1"]), (train, ["a0_0_1", "a1_0_1"])):
        write_coverage(str(tmp_path), Coverage.of("llp", clips, present, {}, "0" * 16))
    found = json.loads((tmp_path / "coverage.json").read_text())
    assert (found["clips"], found["present"], found["missing"]) == (5, 3, {"not_tried": 2})
    assert found["splits"]["train"]["present"] == 2
    assert found["splits"]["test"]["classes"]["x"]["clips"] == 2


def test_validate_reads_every_file_back(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download, beam: Beam
) -> None:
    clips, source = mirror(site, films["clip"], tmp_path / "clips", 3)
    assert download(clips, "--source", source).returncode == 0
    media = tmp_path / "media"
    clean = beam("validate", media)
    assert clean.returncode == 0, clean.stdout
    with (media / "video00001_0_3.mp4").open("r+b") as file:
        file.write(b"x")
    (media / "stray.mp4").write_bytes(b"")
    (media / "video00002_0_3.mp4").unlink()
    found = beam("validate", media)
    assert found.returncode == 1
    for said in ("video00001_0_3.mp4: is not the file", "stray.mp4: has no record",
                 "video00002_0_3: its file is gone"):  # fmt: skip
        assert said in found.stdout


def test_everything_goes_from_the_site_to_features_and_cleans_up(
    site: Site, films: dict[str, Path], tmp_path: Path, beam: Beam
) -> None:
    clips, source = mirror(site, films["clip"], tmp_path / "clips", 3)
    gone = clip_key("video00002", 0.0, 3.0)
    site.files.pop(f"/clips/{gone}.mp4")
    media, out = tmp_path / "media", tmp_path / "out"
    command = words(clips, source, media, tmp_path / "state")
    command[1] = "everything"
    command += ["--out", str(out), "--extractors", "logmel", "--weights", "seeded"]
    command += ["--delete-media", "--batch", "2"]
    done = beam(*command)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "beam run features" not in done.stdout  # they follow by themselves
    assert not list(media.glob("*.mp4"))
    assert len(read_media(media)) == 2  # the records stay
    manifest = read_store_manifest(out).data
    assert manifest["counts"]["clips_done"] == 2
    assert manifest["counts"]["clips_in"] == 3
    coverage = json.loads((out / "coverage.json").read_text())
    assert (coverage["present"], coverage["missing"]) == (2, {"gone": 1})
    again = beam(*command)
    assert again.returncode == 0
    assert set(site.clips_asked().values()) == {1}  # nothing is fetched for features that stand
    assert beam("validate", out).returncode == 0
    checked = beam("validate", media)
    assert checked.returncode == 0, checked.stdout


def test_wrong_calls_get_one_sentence(tmp_path: Path, beam: Beam, films: dict[str, Path]) -> None:
    clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0)])
    base = ("run", "download", "--dataset", "audioset", "--annotations", clips, "--split", "train",
            "--media", tmp_path / "media", "--state", tmp_path / "state")  # fmt: skip
    (tmp_path / "bad.json").write_text('[{"nam": "x"}]')
    (tmp_path / "file").write_text("x")
    calls = (
        (("--videos-per-hour", "-1"), "videos per hour is -1"),
        (("--cookies", tmp_path / "none.txt"), "cannot be read"),
        (("--proxy", "not an address"), "--proxy must be an address"),
        (("--identities", tmp_path / "bad.json"), "unknown field 'nam'"),
        (("--parallel", "0"), "--parallel is 0"),
        (("--youtube-args", "mweb"), "--youtube-args is not name=value"),
        (("--source", "me:pw@h/{clip_key}"), "***@h/{clip_key} is not there"),
        (("--retry", "netwerk"), "did you mean 'network'"),
        (("--vidoes-per-hour", "3"), "did you mean --videos-per-hour"),
        (("--source", "https://h/x.mp4"), "one address"),
        (("--dataset", "demo"), "the demo world is generated"),
        (("--media", tmp_path / "file", "--source", films["clip"].parent), "is a file"),
    )
    for more, said in calls:
        done = beam(*base, *more)
        assert done.returncode == 2, more
        assert said in done.stderr, (more, done.stderr)
        assert "Traceback" not in done.stderr


def test_store_of_another_data_set_or_cap_is_not_mixed(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    clips, source = mirror(site, films["clip"], tmp_path / "clips", 1)
    assert download(clips, "--source", source).returncode == 0
    done = download(clips, "--source", source, "--height", 240)
    assert done.returncode == 2
    assert "holds media of height 360" in done.stderr


def test_too_many_failures_end_with_status_one(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    clips, source = mirror(site, films["clip"], tmp_path / "clips", 2)
    site.files.pop(f"/clips/{clip_key('video00001', 0.0, 3.0)}.mp4")
    assert download(clips, "--source", source, "--max-failed", 0.4).returncode == 1
    assert reasons(tmp_path / "media") == {clip_key("video00001", 0.0, 3.0): "gone"}
