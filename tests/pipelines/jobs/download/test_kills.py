"""A download that is killed or interrupted goes on: nothing is lost, nothing fetched twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.cli import main
from pipelines.store.interrupts import STOPPED
from pipelines.store.media_store import MediaStore
from tests.pipelines.conftest import Beam
from tests.pipelines.jobs.download.conftest import counts, make_film, read_media, write_clips
from tests.pipelines.jobs.download.server import Fault, Site
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


def words(source: Path, clips: Path, media: Path) -> list[str]:
    job = ["run", "download", "--dataset", "audioset", "--annotations", str(clips)]
    job += ["--split", "train", "--source", str(source), "--media", str(media)]
    return [*job, "--state", str(media.parent / "state"), "--unit-size", "2", "--parallel", "1"]


def rows_of(media: Path) -> dict[str, dict[str, Any]]:
    """The records, without the moment at which each was made."""
    rows = read_media(media)
    return {key: {**row, "fetched_at": ""} for key, row in sorted(rows.items())}


def run(job: list[str]) -> None:
    assert main(job) == 0


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


@pytest.mark.parametrize("first", [3, 8])
def test_kills_at_changes_of_the_disk_change_nothing(
    source: Path, tmp_path: Path, beam: Beam, first: int
) -> None:
    asked = [(f"clip{number}", 0.0, 3.0) for number in range(N_CLIPS)]
    clips = write_clips(tmp_path / "clips", [*asked, ("absent", 0.0, 3.0)])
    whole = tmp_path / "whole"
    assert beam(*words(source, clips, whole)).returncode == 0
    undisturbed = rows_of(whole)
    media = tmp_path / "media"
    stood: set[str] = set()
    kills, step = 0, first
    while is_killed_at(step, run, words(source, clips, media)):
        kills += 1
        now = committed(media)
        assert stood <= now.keys()  # what was committed once stays
        for key in now.keys() - stood:
            assert (media / f"{key}.mp4").exists()
        stood = set(now)
        step += 11
    assert kills >= 3
    assert stood
    assert beam(*words(source, clips, media)).returncode == 0
    assert rows_of(media) == undisturbed
    store = MediaStore(str(media))
    attempts = store.media_state().attempts
    assert {attempts[key] for key in undisturbed} == {1}  # none was fetched after it was committed
    for key in undisturbed:
        assert (media / f"{key}.mp4").read_bytes() == (whole / f"{key}.mp4").read_bytes()
    assert counts(media)["clips_failed"] == 1
    assert read_media(media, "failures").keys() == {ABSENT}
    assert not [path for path in media.rglob("*") if ".tmp-" in path.name]
    assert not list(media.glob("journal/*"))
    assert beam("validate", media).returncode == 0


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
    job = words(Path(), clips, media)
    job[job.index("--source") + 1] = f"{site.address}/{{clip_key}}.mp4"
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
    said = [line for line in (out + err).splitlines() if "INFO" not in line]
    assert said == [STOPPED]
    assert not psutil.wait_procs(children, timeout=5)[1]
    assert len(committed(media)) == 2
    assert beam(*job).returncode == 0
    assert counts(media)["clips_done"] == 4
    assert site.hits == {f"/{name}_0_3.mp4": 1 + (name == "clip2") for name in names}
    assert not list(media.glob(".tmp-*"))
    json.loads((media / "manifest.json").read_text())
