"""A download that is killed or interrupted goes on: nothing is lost, nothing fetched twice."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.jobs.download.command import Options
from pipelines.jobs.download.finish import finish
from pipelines.jobs.download.launch import make_job
from pipelines.jobs.download.worker import UnitFetcher
from pipelines.store.interrupts import STOPPED
from pipelines.store.media_store import MediaStore
from tests.complaints import without_log
from tests.killed import count_equal
from tests.pipelines.conftest import Beam
from tests.pipelines.jobs.download.conftest import counts, make_film, read_media, write_clips
from tests.pipelines.jobs.download.hls import files_of, make_chirp, make_hls
from tests.pipelines.jobs.download.server import Fault, Site
from tests.pipelines.jobs.download.test_measured import note
from tests.pipelines.kills import is_killed_at
from tests.places import ROOT

N_CLIPS = 5
ABSENT = "absent_0_3"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five clips, of which one is to be cut."""
    folder = tmp_path_factory.mktemp("source")
    for number in range(N_CLIPS - 1):
        make_film(folder / f"clip{number}_0_3.mp4", 3.0, rate=10 + number)
    make_film(folder / f"clip{N_CLIPS - 1}.mp4", 8.0)
    return folder


def words(source: str, clips: Path, media: Path) -> list[str]:
    job = ["run", "download", "--dataset", "audioset", "--annotations", str(clips)]
    job += ["--split", "train", "--source", source, "--media", str(media)]
    job += ["--allow-playlists"] if source.endswith(".m3u8") else []
    return [*job, "--state", str(media.parent / "state"), "--unit-size", "2", "--parallel", "1"]


def rows_of(media: Path) -> dict[str, dict[str, Any]]:
    """The records, without the moment at which each was made."""
    rows = read_media(media)
    return {key: {**row, "fetched_at": ""} for key, row in sorted(rows.items())}


def run(source: str, clips: str, media: str) -> None:
    """Do the whole job as its steps do it, without an engine around them."""
    job = make_job(
        Options(
            dataset="audioset", annotations=clips, split="train", source=source, media=media,
            state=f"{media}-state", unit_size=2, parallel=1,
            allow_playlists=source.endswith(".m3u8"),
        )
    )  # fmt: skip
    store = job.store()
    store.open(job.dataset, job.limits.height)
    store.recover_journals()
    with closing(UnitFetcher(job)) as fetcher:
        for unit in job.units():
            fetcher.do(unit)
    finish(job)


def committed(media: Path) -> dict[str, int]:
    """Attempts of the clips that receipts or journals hold as done."""
    if not media.exists():
        return {}
    store = MediaStore(str(media))
    state = store.media_state()
    found = {key: state.attempts[key] for key in state.done}
    for path in media.glob("journal/*.jsonl"):
        for outcome in store.read_journal(path.stem):
            if outcome.row is not None:
                found.setdefault(outcome.key, outcome.attempt)
    return found


def kill_and_compare(
    source: str, folder: Path, beam: Beam, *, first: int, stride: int
) -> dict[str, int]:
    """Kill one job at every `stride`-th change of the disk, let it end, and compare."""
    asked = [(f"clip{number}", 0.0, 3.0) for number in range(N_CLIPS)]
    clips = write_clips(folder / "clips", [*asked, ("absent", 0.0, 3.0)])
    whole, media = folder / "whole", folder / "media"
    run(source, str(clips), str(whole))
    undisturbed = rows_of(whole)
    stood: set[str] = set()
    kills, with_commits, step = 0, 0, first
    while is_killed_at(step, run, source, str(clips), str(media)):
        kills += 1
        now = committed(media)
        assert stood <= now.keys()  # what was committed once stays
        for key in now.keys() - stood:
            assert (media / f"{key}.mp4").exists()
        stood = set(now)
        with_commits += bool(stood)
        step += stride
    assert beam(*words(source, clips, media)).returncode == 0
    assert rows_of(media) == undisturbed
    attempts = MediaStore(str(media)).media_state().attempts
    assert {attempts[key] for key in undisturbed} == {1}  # none was fetched after it was committed
    for key in undisturbed:
        assert (media / f"{key}.mp4").read_bytes() == (whole / f"{key}.mp4").read_bytes()
    assert counts(media)["clips_failed"] == 1
    assert read_media(media, "failures").keys() == {ABSENT}
    assert not [path for path in media.rglob("*") if ".tmp-" in path.name]
    assert not list(media.glob("journal/*"))
    assert beam("validate", media).returncode == 0
    count_equal(kills)
    return {"kills": kills, "with_commits": with_commits}


@pytest.mark.parametrize(
    ("first", "stride"), [(14, 25), pytest.param(1, 6, marks=pytest.mark.kills)]
)
def test_kills_at_changes_of_the_disk_change_nothing(
    source: Path, tmp_path: Path, beam: Beam, first: int, stride: int
) -> None:
    found = kill_and_compare(str(source), tmp_path, beam, first=first, stride=stride)
    assert found["kills"] >= 2
    assert found["with_commits"] >= 1


def serve_fragments(site: Site, folder: Path) -> str:
    """Serve the videos of the clips as playlists; return the address of the mirror."""
    hls = make_hls(folder / "hls", make_chirp(folder / "film.mp4", 10.0), "ts")
    for number in range(N_CLIPS):
        site.files |= files_of(hls, f"/clip{number}")
    return f"{site.address}/{{video_id}}/master.m3u8"


@pytest.mark.kills
def test_kills_while_fragments_are_fetched_change_nothing(
    site: Site, tmp_path: Path, beam: Beam
) -> None:
    source = serve_fragments(site, tmp_path)
    found = kill_and_compare(source, tmp_path, beam, first=1, stride=6)
    assert found["kills"] >= 8
    assert found["with_commits"] >= 4
    rows = read_media(tmp_path / "media").values()
    assert {row["how"] for row in rows} == {"fragments"}


@pytest.mark.bench
def test_kills_at_many_changes_of_the_disk_change_nothing_for_fragments(
    site: Site, tmp_path: Path, beam: Beam
) -> None:
    source = serve_fragments(site, tmp_path)
    runs = []
    for first in range(3):
        folder = tmp_path / str(first)
        folder.mkdir()
        runs.append(kill_and_compare(source, folder, beam, first=first, stride=3))
    total = {name: sum(found[name] for found in runs) for name in runs[0]}
    assert total["with_commits"] >= 12
    note("kills_at_changes_of_the_disk_fragments", {"jobs": len(runs), **total})


@pytest.mark.bench
def test_kills_at_many_changes_of_the_disk_change_nothing(
    source: Path, tmp_path: Path, beam: Beam
) -> None:
    runs = []
    for first in range(8):
        folder = tmp_path / str(first)
        folder.mkdir()
        runs.append(kill_and_compare(str(source), folder, beam, first=first, stride=8))
    total = {name: sum(found[name] for found in runs) for name in runs[0]}
    assert total["with_commits"] >= 20
    note("kills_at_changes_of_the_disk", {"jobs": len(runs), **total})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_download_says_one_line_and_goes_on(
    site: Site, films: dict[str, Path], tmp_path: Path, beam: Beam, number: signal.Signals
) -> None:
    names = [f"clip{i}" for i in range(4)]
    for name in names:
        site.files[f"/{name}_0_3.mp4"] = films["clip"]
    site.faults["/clip2_0_3.mp4"] = Fault("stall", 1)
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    media = tmp_path / "media"
    job = words(f"{site.address}/{{clip_key}}.mp4", clips, media)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *job], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not site.hits["/clip2_0_3.mp4"] and time.monotonic() < deadline:
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    os.killpg(process.pid, number)  # as a terminal does
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    said = without_log(out + err)
    assert said == [STOPPED]
    assert not psutil.wait_procs(children, timeout=5)[1]
    assert len(committed(media)) == 2
    assert beam(*job).returncode == 0
    assert counts(media)["clips_done"] == 4
    assert site.hits == {f"/{name}_0_3.mp4": 1 + (name == "clip2") for name in names}
    assert not list(media.glob(".tmp-*"))
    json.loads((media / "manifest.json").read_text())
