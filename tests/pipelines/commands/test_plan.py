"""`beam plan`: sums, figures of one's own, values that make no sense, memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.commands import costs
from pipelines.commands.costs import Plan
from pipelines.commands.estimate import Count, Measured, table_bytes
from pipelines.commands.plan import Options
from pipelines.jobs.features.pace import BENCH, Pace
from pipelines.media.media_index import MediaIndex
from pipelines.store.receipts import Receipt
from schemas import RECIPES, Clip, TableName, read_store_manifest
from tests.pipelines.conftest import Beam, make_clip
from tests.places import BENCHMARKS, ROOT
from tests.stores.units import add_units, pack_at_once


def count(clips: int = 3600, seconds: int = 36_000) -> Count:
    return Count(clips=clips, seconds=seconds, missing=clips, shuffled=0.0)


def plan(**settings: object) -> Plan:
    return Plan(Options(**settings), count(), None)  # type: ignore[arg-type]


def test_hours_of_work_and_of_money() -> None:
    bare = plan(seconds_per_clip=2.0, unit_overhead_s=0.0, worker_start_s=0.0)
    assert bare.work_hours == bare.paid_hours == pytest.approx(2.0)
    started = plan(seconds_per_clip=2.0, unit_overhead_s=0.0, worker_start_s=360.0, workers=5)
    assert started.paid_hours == pytest.approx(2.5)
    units = plan(seconds_per_clip=2.0, unit_size=4, unit_overhead_s=8.0, worker_start_s=0.0)
    assert units.paid_hours == pytest.approx(4.0)
    taken = plan(seconds_per_clip=2.0, worker_life_hours=0.1)
    assert taken.paid_hours > plan(seconds_per_clip=2.0).paid_hours


def receipt(unit: str, clips: int, warming: int, **seconds: float) -> Receipt:
    done = tuple(f"{unit}{number}" for number in range(clips))
    return Receipt(unit, done, (), {}, {}, 0, seconds, {}, warming=warming)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_seconds_of_a_clip_leave_the_first_ones_out() -> None:
    first = receipt("a", 3, 1, **{"warm-up": 50.0}, decode=2.0, vggish=4.0, write=1.0)
    pace = Pace.of([first, receipt("b", 2, 0, decode=2.0, vggish=4.0, write=1.0)], "x")
    assert pace.clips == 4
    assert pace.seconds == {"decode": 1.0, "vggish": 2.0, "write": 0.5}
    assert pace.work() == 2.5
    alone = Pace.of([receipt("a", 1, 1, **{"warm-up": 50.0})], "x")
    assert (alone.work(), alone.clips) == (50.0, 1)


def test_seconds_are_those_of_the_last_job_here_else_of_the_bench(cache: Path) -> None:
    bench = plan(extractors="logmel,vggish")
    stages = ("vggish", "logmel", "frames", "write")
    assert bench.clip_s == pytest.approx(sum(BENCH[stage] for stage in stages))
    assert "the bench" in bench.pace.source
    seconds = {"vggish": 2.0, "logmel": 0.25, "resnet152": 7.0, "write": 0.5, "decode": 9.0}
    Pace(seconds, 40, "the last job on this machine took").record()
    assert plan(extractors="logmel,vggish").clip_s == 2.75
    assert "last job" in plan(extractors="logmel").pace.source
    assert "the bench" in plan(extractors="logmel,proposals").pace.source  # it ran none
    assert plan(extractors="logmel", seconds_per_clip=3.5).clip_s == 3.5
    (cache / "earsight/last-features.json").write_text("[")
    assert "the bench" in plan(extractors="logmel").pace.source


def test_bench_is_what_was_measured() -> None:
    written = json.loads((BENCHMARKS / "extract.json").read_text())
    fp32 = written["ours"]["fp32"]["seconds"]
    seconds = dict(written["every_extractor"]["bf16"])
    seconds |= {name: fp32[name] for name in ("resnet152", "r2plus1d")}
    assert {name: seconds[name] for name in BENCH} == BENCH


def test_annotations_are_fetched_as_a_job_does(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def fetched(dataset: str, folder: Path) -> Path:
        asked.append((dataset, folder))
        return folder

    monkeypatch.setattr(costs, "fetch_annotations", fetched)
    monkeypatch.setattr(costs, "read_manifest", lambda *_: iter([Clip("abc", 0.0, 10.0)]))
    assert costs.print_plan(Options(dataset="ave")) == 0
    assert asked == [("ave", cache / "earsight/annotations")]
    assert "videos to download" in capsys.readouterr().out


def test_like_brings_its_recipe() -> None:
    recipe = RECIPES["quick"].with_(extractors=("vggish", "resnet152"), resnet152_frames="keep")
    like = Measured(recipe, Pace({"vggish": 1.0}, 1, "x"), {})
    assert Plan(Options(like="x"), count(), like).recipe == recipe
    other = Plan(Options(like="x", extractors="logmel", proposals=7), count(), like).recipe
    assert (other.extractors, other.proposals_per_snippet) == (("logmel",), 7)
    assert other.resnet152_frames == "keep"


def test_clips_are_counted_with_their_media_and_their_shuffle() -> None:
    clips = [Clip(f"video{n:04d}", 0.0, 10.0, labels=("Dog",)) for n in range(40)]
    clips += [Clip("video0000", 20.0, 26.0), Clip("whole", 0.0, float("inf"))]
    media = MediaIndex([f"m/video{n:04d}_0_10.mp4" for n in range(10)])
    found = Count.of(iter(clips), media, "m", 16)
    assert (found.clips, found.seconds) == (42, 40 * 10 + 6 + 10)
    assert found.missing == 32  # 30 videos, the other clip of the first, the whole one
    assert 42 * 60 < found.shuffled < 42 * 250


def test_bytes_are_what_a_store_holds(tmp_path: Path) -> None:
    names = ("vggish", "resnet152", "r2plus1d")
    add_units(tmp_path / "out", units=4, features=names, boxes=10)
    manifest = read_store_manifest(tmp_path / "out")
    held: dict[TableName, int] = {
        name: sum(path.stat().st_size for path in manifest.paths(name))
        for name in ("snippets", "proposals")
    }
    recipe = RECIPES["llp-eccv20"].with_(extractors=(*names, "proposals"), proposals_per_snippet=1)
    sizes = table_bytes(recipe, count(16, 160))
    # random numbers pack little; keys and the structure of Parquet come on top
    for name, size in held.items():
        assert 0.85 * sizes[name] < size < 1.15 * sizes[name], name
    like = Measured.of(str(tmp_path / "out"))
    assert like.bytes_per_clip["snippets"] * 16 == held["snippets"]
    kept = table_bytes(recipe.with_(resnet152_frames="keep"), count(16, 160))["snippets"]
    assert kept - sizes["snippets"] == 7 * 160 * 2048 * 4


def test_a_run_of_ones_own_gives_seconds_and_bytes(tmp_path: Path, beam: Beam) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    media.mkdir()
    for number in range(2):
        make_clip(media / f"clip{number}.mp4", 1.0)
    words = ("--dataset", "folder", "--extractors", "logmel")
    beam("run", "features", *words, "--media", media, "--out", out, "--weights", "seeded")
    done = beam(
        "plan", *words, "--annotations", media, "--like", out, "--workers", 3,
        "--price-worker-hour", 2, "--price-gb-month", 0.5, "--months", 6,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert f"{Measured.of(str(out)).pace.work():.3g} s" in said
    assert "snippets, stored" in said
    assert "workers" in said.split("costs")[1]
    assert "GB months x 0.5" in said
    assert "GPU" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "0"), "--workers is 0; it must be at least 1"),
        (("--worker-life-hours", "-1"), "--worker-life-hours is -1.0; it must be above 0"),
        (("--price-gb-month", "-0.1"), "--price-gb-month is -0.1; it must be 0 or above"),
        (("--price-worker-hour", "nan"), "--price-worker-hour is nan; it must be 0 or above"),
        (("--seconds-per-clip", "inf"), "--seconds-per-clip is inf; it must be above 0"),
        (("--identities", "1" + "0" * 400), "at most 1e+12"),
        (("--worker-life-hours", "1e-6"), "never ends a unit of 16 clips; give a smaller"),
        (("--extractors", "vgish"), "did you mean 'vggish'"),
        (("--price", "1"), "unknown option --price"),
        (("--like", "nowhere"), "holds no clip that a features job made"),
    ],
)
def test_values_without_sense_are_refused(
    words: tuple[str, ...], said: str, tmp_path: Path, beam: Beam
) -> None:
    make_clip(tmp_path / "clip.mp4", 1.0)
    done = beam("plan", "--dataset", "folder", "--annotations", tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_files_that_a_pack_left_are_not_counted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    add_units(out, units=4)
    before = Measured.of(str(out)).bytes_per_clip["snippets"]
    pack_at_once(out, keep_parts=True)
    assert Measured.of(str(out)).bytes_per_clip["snippets"] < 1.1 * before


def test_an_empty_manifest_is_said(tmp_path: Path, beam: Beam) -> None:
    done = beam("plan", "--dataset", "folder", "--annotations", tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_memory_grows_by_ids_only(shared: Path, tmp_path: Path) -> None:
    """A twentieth of AudioSet's long list; the whole of it is a benchmark."""
    source = shared / "annotations/audioset"
    (tmp_path / "class_labels_indices.csv").symlink_to(source / "class_labels_indices.csv")
    line = '{:011d}, 30.000, 40.000, "/m/09x0r,/m/05zppz"\n'
    text = "".join(map(line.format, range(100_000)))
    (tmp_path / "unbalanced_train_segments.csv").write_text(text)
    code = (
        "import sys, pipelines.commands.costs; from pipelines.cli import main;"
        "from tests.bench.memory import peak_mb; before = peak_mb();"
        "main(sys.argv[1:]); print('grew', peak_mb() - before)"
    )
    words = ["plan", "--dataset", "audioset", "--annotations", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "100,000" in done.stdout
    grew_mb = float(done.stdout.rsplit("grew", 1)[1])
    assert 5 < grew_mb < 50  # two million clips take 1 GB at most
