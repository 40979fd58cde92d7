"""The features job end to end: every clip has one fate, whatever happens on the way."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import get_dataset_config_names, load_dataset

from pipelines.jobs.features.command import Options
from pipelines.jobs.features.launch import make_recipe
from pipelines.store.feature_store import FeatureStore
from schemas import TableName, read_store_manifest
from tests.complaints import sentence
from tests.pipelines.conftest import Beam, make_clip
from tests.places import ROOT
from tests.stores.compare import all_bytes, counts, read_table, same_rows

LIGHT = ("--extractors", "logmel", "--weights", "seeded")
"""Log-mel needs no weights, so the job itself is what is tested."""


@pytest.fixture(scope="module")
def undisturbed(small_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", *command(small_media, out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (out.parent / "said").write_text(done.stderr)
    return out


def test_the_arrangement_is_said_at_the_start_and_threads_are_kept(undisturbed: Path) -> None:
    said = " ".join((undisturbed.parent / "said").read_text().split())
    start = said.partition("clips done")[0]
    assert re.search(r"arrangement: .*(at once|at a time), one thread of PyTorch each", start)
    provenance = json.loads((undisturbed / "manifest.json").read_text())["provenance"]
    assert provenance["torch_threads"] == "1"


def command(media: Path, out: Path, *more: str) -> list[str]:
    job = ["run", "features", "--dataset", "folder", "--media", str(media), "--out", str(out)]
    return [*job, *LIGHT, "--unit-size", "3", *more]


def test_every_clip_has_one_fate(undisturbed: Path, beam: Beam) -> None:
    assert counts(undisturbed)["clips_in"] == 12
    assert counts(undisturbed)["clips_done"] == 11
    assert counts(undisturbed)["failed_by_reason"] == {"corrupt": 1}
    failure = read_table(undisturbed, "failures").to_pylist()[0]
    assert (failure["clip_key"], failure["step"], failure["retryable"]) == (
        "broken", "decode", False
    )  # fmt: skip
    checked = beam("validate", undisturbed)
    assert checked.returncode == 0, checked.stdout
    assert "clean" in checked.stdout


def test_missing_modality_is_null(undisturbed: Path) -> None:
    clips = {row["clip_key"]: row for row in read_table(undisturbed, "clips").to_pylist()}
    assert (clips["mute"]["has_audio"], clips["mute"]["has_video"]) == (False, True)
    assert (clips["heard"]["has_audio"], clips["heard"]["has_video"]) == (True, False)
    assert clips["heard"]["width"] is None
    rows = read_table(undisturbed, "snippets").to_pylist()
    assert all(row["logmel"] is None for row in rows if row["clip_key"] == "mute")
    assert all(len(row["logmel"]) == 6400 for row in rows if row["clip_key"] == "heard")
    assert all(row["resnet152"] is None for row in rows)


def test_tables_open_everywhere(undisturbed: Path) -> None:
    (part, *_) = read_store_manifest(undisturbed).paths("snippets")
    n = pq.read_table(part).num_rows
    assert len(pd.read_parquet(part)) == n
    assert pl.read_parquet(part).height == n
    query = f"select count(*) from '{part}' where resnet152 is null"
    answer = duckdb.sql(query)
    assert answer is not None
    assert answer.fetchall() == [(n,)]
    folder = undisturbed / "snippets"
    assert len(pd.read_parquet(folder)) == read_table(undisturbed, "snippets").num_rows
    dataset = load_dataset(
        "parquet", data_files=str(part), split="train", cache_dir=str(undisturbed.parent / "hf")
    )
    assert len(dataset) == n
    assert len(dataset[0]["logmel"] or [0] * 6400) == 6400


def test_store_is_a_data_set_of_hugging_face(undisturbed: Path) -> None:
    manifest = read_store_manifest(undisturbed)
    rows = {
        name: sum(pq.read_metadata(part).num_rows for part in manifest.paths(name))
        for name in manifest.tables
    }
    filled = {name: count for name, count in rows.items() if count}
    assert set(get_dataset_config_names(str(undisturbed))) == set(filled)
    cache = str(undisturbed.parent / "hf")
    for name, count in filled.items():
        found = load_dataset(str(undisturbed), name, split="train", cache_dir=cache)
        assert len(found) == count, name
    assert len(load_dataset(str(undisturbed), split="train", cache_dir=cache)) == rows["clips"]


def test_second_run_does_nothing(undisturbed: Path, small_media: Path, beam: Beam) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("*/*.parquet")}
    again = beam(*command(small_media, undisturbed))
    assert again.returncode == 0
    assert "Nothing was left to do" in again.stdout
    assert "models/train.py" not in again.stdout  # no clip has a label
    assert before == {path: path.stat().st_mtime_ns for path in undisturbed.glob("*/*.parquet")}


def test_kills_after_a_receipt_lose_and_repeat_nothing(
    undisturbed: Path, small_media: Path, tmp_path: Path, beam: Beam
) -> None:
    out = tmp_path / "out"
    words = command(small_media, out, "--unit-size", "1")
    kept: dict[str, bytes] = {}
    for more in (1, 3, 3):
        job = subprocess.Popen(
            [sys.executable, "-m", "pipelines", *words],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_receipts(out, len(kept) + more, job)
        assert job.poll() is None, "it was killed at work"
        job.send_signal(signal.SIGKILL)
        job.wait()
        assert not (out / "manifest.json").exists()
        receipts = all_bytes(out / "receipts")
        assert len(receipts) >= len(kept) + more
        assert kept.items() <= receipts.items(), "what was committed is not done again"
        kept = receipts
    last = beam(*words)
    assert last.returncode == 0, last.stderr
    assert kept.items() <= all_bytes(out / "receipts").items()
    same_rows(undisturbed, out, ("clips", "snippets", "failures"))
    assert not list(out.rglob(".tmp-*"))
    named = {path for table in TABLES_MADE for path in read_store_manifest(out).paths(table)}
    assert named == {path for table in TABLES_MADE for path in (out / table).iterdir()}


TABLES_MADE: tuple[TableName, ...] = ("clips", "snippets", "failures", "events")


def wait_for_receipts(out: Path, least: int, job: "subprocess.Popen[bytes]") -> None:
    """Wait until so many units are committed."""
    deadline = time.monotonic() + 120
    while job.poll() is None and time.monotonic() < deadline:
        if len(list(out.glob("receipts/unit-*.json"))) >= least:
            return
        time.sleep(0.01)


def test_damaged_parts_are_made_again(
    undisturbed: Path, small_media: Path, tmp_path: Path, beam: Beam
) -> None:
    out = Path(shutil.copytree(undisturbed, tmp_path / "out"))
    cut, flipped = sorted((out / "snippets").iterdir())[0], sorted((out / "clips").iterdir())[1]
    cut.write_bytes(cut.read_bytes()[:-100])
    data = bytearray(flipped.read_bytes())
    data[100] ^= 16
    flipped.write_bytes(data)
    assert beam("validate", out).returncode == 1
    said = sentence(beam(*command(small_media, out)), 1)  # sees the size, and labels unreadable
    assert flipped.name in said
    assert "again with --verify" in said
    done = beam(*command(small_media, out, "--verify"))
    assert done.returncode == 0, done.stderr
    assert beam("validate", out).returncode == 0
    same_rows(undisturbed, out, ("clips", "snippets", "failures"))


@pytest.mark.parametrize(
    "more",
    [
        ("--direct_runner_bundle_repeat=2",),
        ("--direct_running_mode=multi_processing", "--direct_num_workers=2"),
        ("--runner", "DirectRunner"),
    ],
)
def test_other_ways_to_run_give_the_same_tables(
    undisturbed: Path, small_media: Path, tmp_path: Path, beam: Beam, more: tuple[str, ...]
) -> None:
    done = beam(*command(small_media, tmp_path / "out", *more))
    assert done.returncode == 0, done.stderr[-2000:]
    same_rows(undisturbed, tmp_path / "out", ("clips", "snippets", "failures"))


def test_unit_size_changes_no_value(
    undisturbed: Path, small_media: Path, tmp_path: Path, beam: Beam
) -> None:
    done = beam(*command(small_media, tmp_path / "out", "--unit-size", "50"))
    assert done.returncode == 0, done.stderr[-2000:]
    same_rows(undisturbed, tmp_path / "out", ("clips", "snippets", "failures"))


def test_clip_that_arrives_later_leaves_the_failures(tmp_path: Path, beam: Beam) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    media.mkdir()
    make_clip(media / "here.mp4", 1.0)
    (media / "labels.csv").write_text("file,labels,split\nhere.mp4,a|b,train\nlater.mp4,c,test\n")
    assert beam(*command(media, out)).returncode == 0
    assert counts(out)["failed_by_reason"] == {"not_found": 1}
    make_clip(media / "later.mp4", 1.0)
    make_clip(media / "new.mp4", 1.0)
    again = beam(*command(media, out))
    assert again.returncode == 0, again.stderr
    assert counts(out)["clips_failed"] == 0
    assert counts(out)["clips_done"] == counts(out)["clips_in"] == 3
    assert read_table(out, "clips")["labels"].to_pylist() == [["a", "b"], ["c"], []]
    assert beam("validate", out).returncode == 0


def test_permanent_failure_is_tried_again_only_when_asked(tmp_path: Path, beam: Beam) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    media.mkdir()
    make_clip(media / "good.mp4", 1.0)
    (media / "bad.mp4").write_bytes(b"x" * 100)
    beam(*command(media, out))
    shutil.copy(media / "good.mp4", media / "bad.mp4")
    assert "Nothing was left" in beam(*command(media, out)).stdout
    assert counts(out)["clips_failed"] == 1
    assert beam(*command(media, out, "--retry", "all")).returncode == 0
    assert counts(out)["clips_failed"] == 0


def test_too_many_failures_end_with_status_one(
    small_media: Path, tmp_path: Path, beam: Beam
) -> None:
    done = beam(*command(small_media, tmp_path / "out", "--max-failed", "0.05"))
    assert done.returncode == 1
    assert "more than --max-failed 5%" in done.stdout
    assert counts(tmp_path / "out")["clips_done"] == 11


def test_manifest_names_recipe_and_tools(undisturbed: Path) -> None:
    manifest = json.loads((undisturbed / "manifest.json").read_text())
    assert manifest["recipe"]["name"] == "llp-eccv20"
    assert len(manifest["recipe"]["hash"]) == 12
    assert {"ffmpeg", "torch", "apache-beam", "command"} <= manifest["provenance"].keys()
    assert len(manifest["subset_id"]) == 16


def test_schema_of_a_part_is_the_schema_of_the_table(undisturbed: Path) -> None:
    tables: tuple[TableName, ...] = ("clips", "snippets")
    for table in tables:
        for path in read_store_manifest(undisturbed).paths(table):
            assert isinstance(pq.read_schema(path), pa.Schema)
            assert pq.read_schema(path).metadata[b"earsight_schema_version"] == b"1"


def test_split_by_split_keeps_all_truth(tmp_path: Path, beam: Beam) -> None:
    demo, out = str(tmp_path / "demo"), str(tmp_path / "out")
    words = ["run", "features", "--dataset", "demo", "--clips", "4", "--media", demo, "--out", out]
    words += LIGHT
    assert beam(*words, "--split", "test").returncode == 0
    events = read_store_manifest(tmp_path / "out").paths("events")
    first = pq.read_table(events[0])
    assert counts(tmp_path / "out")["clips_in"] < 4
    assert beam(*words).returncode == 0
    (events_now,) = read_store_manifest(tmp_path / "out").paths("events")
    assert pq.read_table(events_now).equals(first)
    assert counts(tmp_path / "out")["clips_in"] == 4


def test_labels_that_come_later_enter(tmp_path: Path, beam: Beam) -> None:
    media, out, labels = tmp_path / "media", tmp_path / "out", tmp_path / "labels"
    media.mkdir()
    labels.mkdir()
    make_clip(media / "a.mp4", 1.0)
    make_clip(media / "b.mp4", 1.0)
    assert beam(*command(media, out)).returncode == 0
    (labels / "labels.csv").write_text("file,labels,split\na.mp4,x|y,train\n")
    done = beam(*command(media, out, "--annotations", str(labels)))
    assert done.returncode == 0, done.stderr
    assert read_table(out, "clips")["labels"].to_pylist() == [["x", "y"], []]
    assert read_table(out, "clips")["split"].to_pylist() == ["train", ""]
    assert read_store_manifest(out).vocabulary == ("x", "y")
    assert counts(out)["clips_in"] == 2
    assert beam("validate", out).returncode == 0


def test_precision_auto_goes_on_as_it_began(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    asked = Options(dataset="folder", weights="seeded", extractors="resnet152")
    store = FeatureStore(str(tmp_path / "out"))
    begun = make_recipe(replace(asked, precision="fp32"), store)
    store.open("folder", begun)
    assert make_recipe(asked, store) == begun
    assert make_recipe(replace(asked, extractors="logmel"), store).precision == "fp32"
    reasons = [text.partition("precision ")[2] for text in caplog.messages if "precision" in text]
    assert reasons == [
        "fp32 as asked",
        "fp32, because the store was begun with it",
        "fp32, because none of these extractors computes in bf16",
    ]
