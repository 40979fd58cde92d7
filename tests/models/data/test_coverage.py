"""A score says of how much of its split it is a score."""

import json
from pathlib import Path

from models.contract.report import SplitReport
from models.data.clips import open_clips
from models.training import results
from models.training.tables import coverage_words, score_title
from schemas import read_store_manifest
from tests.stores.parsing import ParsingRows


def test_coverage_stands_beside_the_scores(tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path / "store")
    share = {"clips": 20, "present": 15, "missing": {"gone": 4, "private": 1}, "classes": {}}
    told = {
        "subset_id": read_store_manifest(root).subset_id,
        "date": "2026-11-21T08:00:00+00:00",
        "splits": {"test": share},
    }
    (root / "coverage.json").write_text(json.dumps(told))
    found = results.describe(open_clips(root, ("vggish",), None))["coverage"]
    assert found["splits"]["test"] == {
        name: share[name] for name in ("clips", "present", "missing")
    }
    words = coverage_words("test", found)
    assert words == "15 of 20 clips (75.0 %; missing: gone 4, private 1; counted 2026-11-21)"
    report = SplitReport(metrics={"map": 0.5})
    assert score_title("test", report, words) == f"Scores on split 'test', {words}"


def test_coverage_of_other_clips_is_not_shown(tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path / "store")
    (root / "coverage.json").write_text('{"subset_id": "other", "date": "", "splits": {}}')
    assert results.coverage(read_store_manifest(root)) == {}
    (root / "coverage.json").write_text("{half")
    assert results.coverage(read_store_manifest(root)) == {}
