"""The page about a store or a media folder: whole, escaped, bounded, and one sentence otherwise."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import cli
from pipelines.commands.report.feature_health import MOST_SAMPLED, column_health, sample_column
from pipelines.commands.report.records import histogram
from schemas import SNIPPETS, read_store_manifest
from tests.complaints import run_here, sentence
from tests.stores import writer
from tests.stores.parsing import CLASSES, ParsingRows
from tests.stores.parsing import RECIPE as PARSING

EVIL = "<script>alert(1)</script>"


def page_of(store: Path, *words: object) -> str:
    html = store.parent / "page.html"
    done = run_here(cli.main, "report", store, "--html", html, *words)
    assert done.returncode == 0, done.stderr
    assert str(html) in done.stdout
    return html.read_text()


def no_request_leaves(page: str) -> None:
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert not re.findall(r"(?:https?:)?//[\w.]+\.\w+/", re.sub(r"data:[^\"]*", "", page))


def test_page_of_a_store_says_what_is_in_it(small_rows: ParsingRows, tmp_path: Path) -> None:
    page = page_of(small_rows.write(tmp_path / "store"))
    no_request_leaves(page)
    for text in ("RANDOM WEIGHTS", "seeded:0", "66 clips", "no audio", "resnet152", "Map of clips"):
        assert text in page
    assert page.count('<article class="card"') == 40
    assert "40 of 66 clips" in page
    assert all(f">{name}<" in page for name in CLASSES)
    assert page.count('class="event') > 10


def test_default_place_is_the_store_and_validate_stays_clean(
    small_rows: ParsingRows, tmp_path: Path
) -> None:
    store = small_rows.write(tmp_path / "store")
    assert run_here(cli.main, "report", store).returncode == 0
    assert (store / "report.html").is_file()
    assert run_here(cli.main, "validate", store).returncode == 0


def test_texts_are_escaped(small_rows: ParsingRows, tmp_path: Path) -> None:
    for clip in small_rows.clips[:30]:
        clip["labels"] = [EVIL]
        clip["split"] = EVIL
    page = page_of(small_rows.write(tmp_path / "store", vocabulary=[EVIL, *CLASSES]))
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize("case", ["no labels", "no audio", "no video", "one clip", "no features"])
def test_poor_stores_have_a_page(small_rows: ParsingRows, tmp_path: Path, case: str) -> None:
    if case == "one clip":
        small_rows.clips = small_rows.clips[:1]
        key = small_rows.clips[0]["clip_key"]
        small_rows.snippets = [row for row in small_rows.snippets if row["clip_key"] == key]
        small_rows.events = []
    for clip in small_rows.clips:
        if case == "no labels":
            clip["labels"] = []
        if case == "no audio":
            clip["has_audio"] = False
        if case == "no video":
            clip["has_video"] = False
    for row in small_rows.snippets:
        if case in ("no audio", "no features"):
            row["vggish"] = None
        if case in ("no video", "no features"):
            row["resnet152"] = row["r2plus1d"] = None
    page = page_of(small_rows.write(tmp_path / "store", parts=1))
    no_request_leaves(page)
    said = {"no labels": "no labels", "no audio": "no audio", "no video": "no video",
            "one clip": "1 clips", "no features": "null"}  # fmt: skip
    assert said[case] in page
    assert ("Map of clips" in page) == (case in ("no labels", "no audio", "no video"))


def test_large_store_is_sampled(tmp_path: Path) -> None:
    store = write_large(tmp_path / "store", 3000)
    manifest = read_store_manifest(store)
    assert sample_column(manifest, SNIPPETS, "vggish").num_rows <= MOST_SAMPLED + 64
    page = page_of(store)
    assert len(page) < 15_000_000
    assert "40 of 3,000 clips" in page


def write_large(root: Path, clips: int) -> Path:
    random = np.random.default_rng(0)
    values = random.normal(size=(50, 128)).astype(np.float32)
    rows: dict[str, list[dict[str, Any]]] = {"clips": [], SNIPPETS: []}
    for index in range(clips):
        key = f"clip{index:05d}_0_10"
        rows["clips"].append(writer.clip_row(key, 10, "train", [CLASSES[index % 4]]))
        rows[SNIPPETS] += [
            {"clip_key": key, "snippet_index": second, "start_s": float(second), "valid": True,
             "vggish": values[(index + second) % 50]}
            for second in range(10)
        ]  # fmt: skip
    recipe = PARSING.with_(extractors=("vggish",))
    return writer.write_store(
        root, writer.split_by_clip(rows, 8), vocabulary=CLASSES, recipe=recipe
    )


def test_health_counts_what_is_wrong(small_rows: ParsingRows, tmp_path: Path) -> None:
    for row in small_rows.snippets:
        if row["vggish"] is not None:
            row["vggish"][7] = 3.0
    small_rows.snippets[0]["vggish"][0] = np.nan
    store = small_rows.write(tmp_path / "store")
    found = column_health("vggish", sample_column(read_store_manifest(store), SNIPPETS, "vggish"))
    assert found is not None
    assert (found.rows, found.nulls, found.not_finite) == (660, 10, 1)
    assert (found.dead, found.dimensions) == (1, 128)


def test_histogram_counts_every_value() -> None:
    drawn = histogram("x", [0.0, 1.0, 1.0, None, float("nan")])
    assert drawn is not None
    assert (drawn.low, drawn.high, drawn.missing) == (0.0, 1.0, 2)
    assert [bar.height for bar in (drawn.bars[0], drawn.bars[-1])] == [50.0, 100.0]
    assert histogram("x", [None]) is None


def test_wrong_places_are_one_sentence(small_rows: ParsingRows, tmp_path: Path) -> None:
    assert "holds no manifest.json" in sentence(run_here(cli.main, "report", tmp_path))
    store = small_rows.write(tmp_path / "store")
    said = sentence(run_here(cli.main, "report", store, "--media", tmp_path / "none"))
    assert "--media" in said
    assert "is no folder" in said
    part = next(iter(read_store_manifest(store).paths("clips")))
    part.write_bytes(b"PAR1")
    assert "beam validate" in sentence(run_here(cli.main, "report", store))
    shutil.rmtree(store / "clips")
    assert "cannot be read" in sentence(run_here(cli.main, "report", store))


@pytest.fixture
def small_rows() -> ParsingRows:
    return ParsingRows()
