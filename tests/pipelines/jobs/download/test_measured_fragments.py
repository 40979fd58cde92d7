"""`make bench`: what was measured of files, of fragments; and what the hashes cost."""

import itertools
import os
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

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
from tests.pipelines.jobs.download.hls import make_chirp, make_hls
from tests.pipelines.jobs.download.server import Fault, Site
from tests.pipelines.jobs.download.test_fragments_hold import (
    SPAN,
    fetch_hostile_playlists,
    fetch_with_faults,
    fragments,
    kill_fragments,
    serve,
    starts,
)
from tests.pipelines.jobs.download.test_hostile import fits_a_line, hostile_names
from tests.pipelines.jobs.download.test_job import words
from tests.pipelines.jobs.download.test_measured import note, run_job

pytestmark = pytest.mark.bench
WITHOUT_HASHES = """from pipelines.jobs.download.duplicates import perceptual_hash
perceptual_hash.hash_clip = lambda path: ""
"""


@pytest.fixture(scope="module")
def hls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds in six fragments."""
    folder = tmp_path_factory.mktemp("hls")
    return make_hls(folder / "ts", make_chirp(folder / "film.mp4", 12.0), "ts")


@pytest.fixture(autouse=True)
def _plugins_everywhere(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs in processes of their own turn to the server too."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


def youtube(clips: Path, folder: Path, *more: str) -> list[str]:
    """The words of a job on the site's videos."""
    return [*words(clips, "youtube", folder / "media", folder / "state"),
            "--hosts", "127.0.0.1", "--parallel", "1", *more]  # fmt: skip


def test_faults_of_fragments(site: Site, hls: Path, tmp_path: Path, download: Download) -> None:
    found = fetch_with_faults(site, hls, tmp_path, download, good=58, each=8, n_slow=1)
    total = counts(tmp_path / "media")
    note("faults_fragments", {
        "clips": total["clips_in"], "done": total["clips_done"],
        "failed_by_reason": dict(found), "requests": len(site.asked),
    })  # fmt: skip


def test_ten_kills_of_fragments(site: Site, hls: Path, tmp_path: Path, beam: Beam) -> None:
    found = kill_fragments(site, hls, tmp_path, beam, kills=10, n=150, within_s=1.0)
    assert found["killed"] == 10
    note("kills_fragments", found)


def test_four_workers_and_two_identities_keep_the_pace_with_fragments(
    site: Site, hls: Path, tmp_path: Path
) -> None:
    pace = 900.0
    clips = serve(site, hls, [youtube_id(i) for i in range(40)], tmp_path / "clips")
    (tmp_path / "identities.json").write_text(
        '[{"name": "home", "user_agent": "home/1"}, {"name": "lab", "user_agent": "lab/1"}]'
    )
    more = ["--identities", str(tmp_path / "identities.json"), "--videos-per-hour", str(pace)]
    more += ["--unit-size", "2", "--direct_running_mode=multi_processing"]
    seconds = run_job([*youtube(clips, tmp_path, *more), "--direct_num_workers=4"])
    found: dict[str, Any] = {
        "videos": 40, "fragments": len(fragments(site)), "pace_an_hour": pace,
        "seconds": round(seconds, 1),
    }  # fmt: skip
    for name in ("home", "lab"):
        moments = sorted(one.at for one in starts(site) if one.agent == f"{name}/1")
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        an_hour = len(gaps) / (moments[-1] - moments[0]) * 3600
        found[name] = {
            "videos": len(moments), "an_hour": round(an_hour),
            "shortest_gap_s": round(min(gaps), 2), "longest_gap_s": round(max(gaps), 2),
        }  # fmt: skip
        assert an_hour <= pace * 1.01
        assert min(gaps) >= 3600 / pace - 0.3  # a request goes out a little after its leave
    assert found["fragments"] == 3 * 40
    note("budget_fragments", found)


def test_breaker_opens_and_closes_on_fragments(site: Site, hls: Path, tmp_path: Path) -> None:
    names = [youtube_id(i) for i in range(12)]
    clips = serve(site, hls, names, tmp_path / "clips")
    site.faults[f"/hls/{names[0]}/media2.ts"] = Fault("429", 4)  # three open it, one more keeps it
    run_job(youtube(clips, tmp_path, "--videos-per-hour", "0", "--breaker-minutes", "0.1"))
    gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(starts(site))]
    found = {
        "breaker_s": 6.0, "videos": 12, "done": counts(tmp_path / "media")["clips_done"],
        "refused_fragments": sum(one.status == 429 for one in fragments(site)),
        "gaps_s": [round(gap, 1) for gap in gaps],
    }  # fmt: skip
    assert found["done"] == 12
    assert sum(gap >= 6.0 for gap in gaps) == 2
    note("breaker_fragments", found)


def test_thousand_hostile_names_of_playlists(
    site: Site, hls: Path, tmp_path: Path, download: Download
) -> None:
    (tmp_path / "work").mkdir()
    within = fetch_hostile_playlists(site, hls, tmp_path / "work", 1000)
    assert within.total() == 1000
    assert not within[""]
    asked = len(site.asked)
    names = [name for name in dict.fromkeys(hostile_names(2500)) if fits_a_line(name)]
    names = [name for name in names if name.strip() == name and name][:1000]
    assert len(names) == 1000
    clips = write_clips(tmp_path / "clips", [(name, *SPAN) for name in names])
    source = ("--source", f"{site.address}/hls/{{clip_key}}/master.m3u8", "--allow-playlists")
    assert download(clips, *source).returncode == 1
    assert not list((tmp_path / "media").glob("*.mp4"))
    assert {path.name for path in tmp_path.iterdir()} == {"work", "clips", "media", "state"}
    note("hostile_fragments", {
        "playlists_that_name_harm": 1000, "by_reason_there": dict(within), "names": 1000,
        "by_reason": dict(Counter(reasons(tmp_path / "media").values())),
        "requests": len(site.asked) - asked,
    })  # fmt: skip


def test_what_the_hashes_cost(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film, n = make_film(tmp_path / "ten.mp4", 10.0), 200
    keys = [clip_key(f"video{i:05d}", 0.0, 10.0) for i in range(n)]
    site.files = dict.fromkeys((f"/clips/{key}.mp4" for key in keys), film.read_bytes())
    clips = write_clips(tmp_path / "clips", [(f"video{i:05d}", 0.0, 10.0) for i in range(n)])
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(WITHOUT_HASHES)
    whole = os.environ["PYTHONPATH"]
    pace: dict[str, list[float]] = {"with": [], "without": []}
    for turn in range(6):
        kind = ("with", "without")[turn % 2]
        ahead = [str(tmp_path / "without")] if kind == "without" else []
        monkeypatch.setattr(sys, "path", [*ahead, *whole.split(os.pathsep)])
        folder, before = tmp_path / str(turn), len(site.asked)
        source = f"{site.address}/clips/{{clip_key}}.mp4"
        run_job(words(clips, source, folder / "media", folder / "state"))
        hashes = {bool(row["phash"]) for row in read_media(folder / "media").values()}
        assert hashes == {kind == "with"}
        moments = [one.at for one in site.asked[before:]]
        pace[kind].append((n - 1) / (moments[-1] - moments[0]))
    middle = {kind: statistics.median(found) for kind, found in pace.items()}
    note("speed_hashes", {
        "clips": n, "clip": "10 s, 320x240, taken as it is", "turns": 3,
        "clips_a_second": {kind: round(found, 1) for kind, found in middle.items()},
        "ratio": round(middle["with"] / middle["without"], 2),
    })  # fmt: skip
