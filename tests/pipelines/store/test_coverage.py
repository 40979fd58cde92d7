"""Coverage: every clip is counted once by split, by class and by why it is missing."""

import json
import logging
from pathlib import Path

import pytest

from pipelines.store.coverage import (
    MOST_OTHER_FILES,
    Coverage,
    Share,
    read_reasons,
    write_coverage,
)
from schemas import Clip

CLIPS = [
    Clip("a", 0, 10, "train", ("Dog", "Cat")), Clip("b", 0, 10, "train", ("Dog",)),
    Clip("c", 0, 10, "train", ("Dog",)), Clip("d", 0, 10, "", ()), Clip("e", 0, 10, "test", ()),
]  # fmt: skip
PRESENT = {"a_0_10", "e_0_10"}
REASONS = {"a_0_10": "stale", "b_0_10": "gone", "c_0_10": "gone"}


def counted(clips: list[Clip] = CLIPS) -> Coverage:
    return Coverage.of("llp", clips, PRESENT, REASONS, "5ub5e7")


def test_clips_are_counted_by_split_class_and_reason() -> None:
    found = counted().to_json()
    assert (found["dataset"], found["subset_id"]) == ("llp", "5ub5e7")
    assert (found["clips"], found["present"]) == (5, 2)
    assert list(found["missing"].items()) == [("gone", 2), ("not_tried", 1)]
    train = {name: value for name, value in found["splits"]["train"].items() if name != "classes"}
    assert train == {"clips": 3, "present": 1, "missing": {"gone": 2}}
    assert found["splits"]["train"]["classes"] == {
        "Cat": {"clips": 1, "present": 1, "missing": {}},
        "Dog": {"clips": 3, "present": 1, "missing": {"gone": 2}},
    }
    assert found["splits"]["(none)"] == {
        "clips": 1, "present": 0, "missing": {"not_tried": 1}, "classes": {}
    }  # fmt: skip
    assert found["splits"]["test"]["present"] == 1


def test_page_has_a_line_for_each_split_and_class() -> None:
    coverage = counted()
    coverage.date = "2026-01-01"
    coverage.other_files = [f"note{number}.txt" for number in range(1234)]
    page = coverage.to_markdown()
    names = ", ".join(f"`note{number}.txt`" for number in range(MOST_OTHER_FILES))
    assert page == (
        "# Coverage of llp\n\n2 of 5 clips are present (40.0%). Subset `5ub5e7`, 2026-01-01.\n\n"
        "| split | clips | present | % | gone | not_tried |\n|---|--:|--:|--:|--:|--:|\n"
        "| train | 3 | 1 | 33.3 | 2 |  |\n| (none) | 1 | 0 | 0.0 |  | 1 |\n"
        f"| test | 1 | 1 | 100.0 |  |  |\n\nNot taken for media: 1,234 files, {names}.\n\n"
        "## Split train by class\n\n| class | clips | present | % | gone |\n|---|--:|--:|--:|--:|\n"
        "| Cat | 1 | 1 | 100.0 |  |\n| Dog | 3 | 1 | 33.3 | 2 |\n"
    )
    assert coverage.to_json()["other_files"] == {
        "count": 1234, "names": [f"note{number}.txt" for number in range(20)]
    }  # fmt: skip


def test_large_and_empty_counts_are_readable() -> None:
    many = Coverage("d", "s", "t", Share(12345, 12000), {"x": Share(12345, 12000)}, {})
    many.splits["x"].missing["gone"] = 1345
    many.splits["none"] = Share()
    page = many.to_markdown()
    assert "12,000 of 12,345 clips are present (97.2%)" in page
    assert "| x | 12,345 | 12,000 | 97.2 | 1,345 |" in page
    assert "| none | 0 | 0 | - |  |" in page
    assert "0 of 0 clips are present (0)" in Coverage("d", "s", "t", Share(), {}, {}).to_markdown()


def test_names_cannot_break_out_of_the_page() -> None:
    clips = [Clip("v", 0, 1, "a|b", ("x\\<script>\n#",))]
    page = Coverage.of("d", clips, (), {}, "s").to_markdown()
    assert "| a\\|b | 1 |" in page
    assert "| x\\\\&lt;script> # | 1 |" in page


def test_splits_of_earlier_runs_are_kept(tmp_path: Path) -> None:
    out = str(tmp_path)
    write_coverage(out, counted([clip for clip in CLIPS if clip.split == "train"]))
    write_coverage(out, counted([clip for clip in CLIPS if clip.split != "train"]))
    found = json.loads((tmp_path / "coverage.json").read_text())
    again = counted().to_json()
    for name in ("clips", "present", "missing"):
        assert found[name] == again[name]
    assert found["splits"] == again["splits"]
    assert "## Split train by class" in (tmp_path / "coverage.md").read_text()
    write_coverage(out, counted([CLIPS[0]]))  # counted anew, not added
    found = json.loads((tmp_path / "coverage.json").read_text())
    assert found["splits"]["train"]["clips"] == 1
    assert found["clips"] == 3
    other = Coverage.of("ave", CLIPS[4:], PRESENT, {}, "s")
    write_coverage(out, other)
    assert json.loads((tmp_path / "coverage.json").read_text())["clips"] == 1


@pytest.mark.parametrize(
    "text", ["{", "null", '{"dataset": "llp", "splits": 3}', '{"dataset": "llp"}']
)
def test_earlier_coverage_that_cannot_be_read_is_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (tmp_path / "coverage.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        write_coverage(str(tmp_path), counted())
    assert "coverage.json is not readable" in caplog.text
    assert json.loads((tmp_path / "coverage.json").read_text())["clips"] == 5


def test_reasons_are_those_of_a_media_store(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from pipelines.store.media_store import MediaStore
    from pipelines.store.parquet import failures_table
    from schemas import Failure, Reason

    assert read_reasons("") == {}
    assert read_reasons(str(tmp_path)) == {}
    store = MediaStore(str(tmp_path / "media"))
    store.open("llp", 360)
    failed = [Failure("b_0_10", "fetch", Reason.GONE, "deleted", 1, "2026-01-01")]
    facts = {"kind": "media", "dataset": "llp", "features": None,
             "counts": {"clips_in": 1, "clips_done": 0, "clips_failed": 1}}  # fmt: skip
    tables = {"failures": failures_table(failed)}
    manifest = store.write_manifest(store.state(), tables, facts)
    assert read_reasons(store.out) == {"b_0_10": "gone"}
    (part,) = manifest["tables"]["failures"]
    (tmp_path / "media" / part).write_bytes(b"no table")
    with caplog.at_level(logging.WARNING):
        assert read_reasons(store.out) == {}
    assert "why clips are missing is not known" in caplog.text


def test_folder_that_is_no_media_store_has_no_reasons_and_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_reasons(str(tmp_path)) == {}
    (tmp_path / "manifest.json").write_text("{")
    assert read_reasons("") == {}
    assert not caplog.records
    assert read_reasons(str(tmp_path)) == {}
    assert "why clips are missing is not known" in caplog.text
