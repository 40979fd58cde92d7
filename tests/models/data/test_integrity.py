"""A store whose manifest was edited by hand is refused before anything is trained on it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from models.data.clips import open_clips
from models.data.streaming.clips import open_stream
from schemas import UsageError
from tests.stores import bags
from tests.stores.edits import edit_record
from tests.stores.parsing import ParsingRows

Manifest = dict[str, Any]


def unlist(table: str) -> Callable[[Manifest], object]:
    return lambda manifest: manifest["tables"][table].pop()


def list_twice(table: str) -> Callable[[Manifest], object]:
    return lambda manifest: manifest["tables"][table].append(manifest["tables"][table][0])


def counted(root: Path) -> Path:
    """Put the counts of rows into the manifest, as the features job does."""

    def edit(manifest: Manifest) -> None:
        manifest["counts"]["rows"] = {
            table: sum(pq.read_metadata(root / name).num_rows for name in names)
            for table, names in manifest["tables"].items()
        }

    edit_record(root / "manifest.json", edit)
    return root


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (unlist("clips"), "of table clips that .* the job counted 66; run `beam validate`"),
        (unlist("snippets"), "of table snippets that .* the job counted 660"),
        (list_twice("clips"), r"names .clips/.*\.parquet. twice"),
        (list_twice("snippets"), r"names .snippets/.*\.parquet. twice"),
        (lambda manifest: manifest.update(recipe={}), "holds no recipe of this program"),
        (
            lambda manifest: manifest["recipe"].update(weights="pretrained"),
            "its recipe has the hash",
        ),
        (lambda manifest: manifest.update(subset_id="0" * 16), "names subset 0000000000000000"),
        (lambda manifest: manifest["counts"].update(clips_done=1), "counts 1 clips as done"),
    ],
)
def test_edited_manifest_is_refused(
    tmp_path: Path, edit: Callable[[Manifest], object], sentence: str
) -> None:
    root = counted(ParsingRows().write(tmp_path))
    open_clips(root, ("vggish",))
    edit_record(root / "manifest.json", edit)
    for read in (lambda: open_clips(root, ("vggish",)), lambda: open_stream(root, ("vggish",))):
        with pytest.raises(UsageError, match=sentence) as refused:
            read()
        assert "\n" not in str(refused.value)


def test_clip_of_which_no_listed_part_has_a_row_is_refused(tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path)  # without the counts of rows, as others may write it
    edit_record(root / "manifest.json", unlist("snippets"))
    for read in (lambda: open_clips(root, ("vggish",)), lambda: open_stream(root, ("vggish",))):
        with pytest.raises(UsageError, match=f"clip .* of {root} has no seconds"):
            read()


def test_manifest_that_lost_its_own_checksum_is_refused(tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path)
    manifest = json.loads((root / "manifest.json").read_text())
    del manifest["checksum"]
    (root / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="checksums of the files and none of its own"):
        open_clips(root, ("vggish",))


def test_bags_that_are_not_all_listed_are_refused(tmp_path: Path) -> None:
    root = counted(bags.write_bag_store(tmp_path))
    edit_record(root / "manifest.json", unlist("segments"))
    with pytest.raises(UsageError, match=r"of table segments that .* the job counted"):
        open_clips(root, ("segments",))
