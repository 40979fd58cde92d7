"""`beam validate` finds every kind of damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cli import main
from pipelines.commands.validate import find_problems
from schemas import UsageError, read_store_manifest
from tests.pipelines.conftest import make_clip
from tests.stores.edits import as_version_1, edit_record
from tests.stores.units import add_units


@pytest.fixture(scope="module")
def sound_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two clips without a fault."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "media").mkdir()
    for name in ("a", "b"):
        make_clip(folder / "media" / f"{name}.mp4", 2.0)
    words = "run features --dataset folder --weights seeded --extractors logmel".split()
    assert main([*words, "--media", str(folder / "media"), "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture
def store(sound_store: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(sound_store, tmp_path / "store"))


def problems(store: Path) -> str:
    return "\n".join(find_problems(read_store_manifest(store)))


def part(store: Path, table: str) -> Path:
    return next((store / table).glob("*.parquet"))


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def test_sound_store_is_clean(store: Path) -> None:
    assert problems(store) == ""


def test_missing_part(store: Path) -> None:
    part(store, "snippets").unlink()
    assert "not there" in problems(store)
    assert "a has 0 snippet rows, n_snippets is 2" in problems(store)


def test_damaged_part(store: Path) -> None:
    path = part(store, "clips")
    path.write_bytes(path.read_bytes()[:200])
    assert "cannot be read" in problems(store)


def test_rows_that_repeat(store: Path) -> None:
    rewrite(part(store, "snippets"), lambda t: pa.concat_tables([t, t.slice(0, 1)]))
    assert "occurs 2 times" in problems(store)


def test_missing_row(store: Path) -> None:
    rewrite(part(store, "snippets"), lambda t: t.slice(1))
    assert "has 1 snippet rows, n_snippets is 2" in problems(store)


def test_column_of_another_type(store: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index("n_snippets")
        return table.set_column(place, "n_snippets", table["n_snippets"].cast(pa.string()))

    rewrite(part(store, "clips"), change)
    assert "column n_snippets is string, should be int32" in problems(store)


def test_numbers_that_are_not_finite(store: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index("logmel")
        spoiled = np.full((len(table), 6400), np.nan, np.float32).tolist()
        return table.set_column(
            place, table.schema.field("logmel"), pa.array(spoiled, table["logmel"].type)
        )

    rewrite(part(store, "snippets"), change)
    assert "logmel holds numbers that are not finite" in problems(store)


def test_row_of_another_shape(store: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index("logmel")
        short = [[0.0] * 6399] * len(table)
        return table.set_column(
            place, table.schema.field("logmel"), pa.array(short, table["logmel"].type)
        )

    rewrite(part(store, "snippets"), change)
    assert "which is not [100, 64] for each" in problems(store)


def test_wrong_counts(store: Path) -> None:
    edit_record(store / "manifest.json", lambda it: it["counts"].update(clips_in=7))
    assert "clips_in 7 is not clips_done 2 + clips_failed 0" in problems(store)


def test_status_and_list(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part(store, "snippets").unlink()
    assert main(["validate", str(store)]) == 1
    assert "problems; 2 clips in" in capsys.readouterr().out


def test_wrong_subset_and_rows(store: Path) -> None:
    edit_record(store / "manifest.json", lambda it: it.update(subset_id="0" * 16))
    edit_record(store / "manifest.json", lambda it: it["counts"]["rows"].update(snippets=99))
    assert "says subset 0000" in problems(store)
    assert "says 99 rows of snippets, there are 4" in problems(store)


def test_nulls_against_the_modality(store: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field("logmel")
        place = table.column_names.index("logmel")
        return table.set_column(place, field, pa.nulls(len(table), field.type))

    rewrite(part(store, "snippets"), change)
    assert "a: has_audio is True, logmel says otherwise" in problems(store)


def test_manifest_that_lacks_an_entry(store: Path) -> None:
    path = store / "manifest.json"
    edit_record(path, lambda it: it.pop("counts"))
    assert "manifest.json lacks counts" in problems(store)
    assert main(["validate", str(store)]) == 1
    for text in ('{"schema_version": 1}', "[]"):
        path.write_text(text)
        assert main(["validate", str(store)]) == 2


def test_media_are_no_features(store: Path) -> None:
    media = {"schema_version": 1, "kind": "media", "dataset": "a", "tables": {}, "subset_id": "b"}
    media["counts"] = {"clips_in": 0, "clips_done": 0, "clips_failed": 0}
    (store / "manifest.json").write_text(json.dumps(media))
    with pytest.raises(UsageError, match="holds media; give the --out of a features job"):
        read_store_manifest(store)
    assert read_store_manifest(store, media=True).data["kind"] == "media"


def test_manifest_may_be_named_itself(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(store / "manifest.json")]) == 0
    assert "clean; 2 clips in" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    ["store.json", "coverage.json", "coverage.md", "clips", "snippets", "events", "failures"],
)
def test_file_that_was_changed(store: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = store / name if "." in name else part(store, name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert main(["validate", str(store)]) == 1
    assert f"{path.name}: its content was changed" in capsys.readouterr().out
    path.unlink()
    assert main(["validate", str(store)]) == 1
    assert "but not there" in capsys.readouterr().out


def test_manifest_edited_by_hand(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = store / "manifest.json"
    path.write_text(path.read_text().replace("folder", "llp", 1))
    assert main(["validate", str(store)]) == 2
    assert "the checksum differs" in capsys.readouterr().err


def test_receipt_that_was_changed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = (store / "receipts").iterdir()
    whole = path.read_bytes()

    def said() -> str:
        assert main(["validate", str(store)]) == 1
        return capsys.readouterr().out

    assert b'"ffmpeg"' in whole
    path.write_bytes(whole.replace(b'"ffmpeg"', b'"ffmpog"', 1))
    assert "the checksum differs" in said()
    path.write_bytes(whole)
    edit_record(path, lambda it: it["failed"].append(
        {"clip_key": "c", "step": "find", "reason": "gone", "detail": "", "attempts": 1, "at": ""}
    ))  # fmt: skip
    assert "not those that manifest.json was written from" in said()
    path.write_bytes(whole)
    edit_record(path, lambda it: it.update(recipe="0" * 12))
    assert "is of recipe 000000000000, the store of recipe" in said()
    path.write_bytes(whole)
    shutil.copy(path, path.with_name("unit-0000000000000000.json"))
    assert "a copy under another name" in said()
    path.with_name("unit-0000000000000000.json").unlink()
    path.unlink()
    assert "not those that manifest.json was written from" in said()


def test_store_of_version_1_is_clean_with_a_note(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_version_1(store)
    assert main(["validate", str(store)]) == 0
    said = capsys.readouterr().out
    assert "note: 4 files are of version 1" in said
    assert "clean; 2 clips in" in said
    assert main(["validate", str(store)]) == 0
    path = part(store, "snippets")
    path.write_bytes(path.read_bytes()[:-100])
    assert main(["validate", str(store)]) == 1


@pytest.mark.parametrize(
    ("side", "value"),
    [("x1", 0.0), ("y1", 0.0), ("x0", -0.1), ("y0", -0.1), ("x1", 1.1), ("y1", 1.1)],
)
def test_boxes_that_are_empty_or_leave_the_frame(tmp_path: Path, side: str, value: float) -> None:
    out = tmp_path / "store"
    add_units(out, units=1, clips=1, seconds=1, features=("vggish",), boxes=2)
    assert problems(out) == ""

    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index(side)
        values = table[side].to_pylist()
        if value == 0.0:  # as wide, or as high, as nothing
            values[0] = table[side.replace("1", "0")][0].as_py()
        else:
            values[0] = value
        return table.set_column(place, table.schema.field(side), pa.array(values, pa.float32()))

    rewrite(part(out, "proposals"), change)
    assert "1 boxes are empty or leave the frame" in problems(out)


def test_subset_of_a_hostile_manifest_is_shown_as_an_escape(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_record(store / "manifest.json", lambda manifest: manifest.update(subset_id="\ud800"))
    assert main(["validate", str(store)]) == 1
    assert capsys.readouterr().out.endswith("subset \\ud800\n")
