"""Manifests: what they say, and which of their entries are refused."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas import RECIPES, StoreManifest, UsageError, read_store_manifest
from schemas.checked_json import encode_record
from schemas.manifest import MANIFEST, decode_manifest, subset_id

CONTENT: dict[str, Any] = {
    "schema_version": 1, "dataset": "llp", "subset_id": "5ub5e7", "vocabulary": ["Dog", "Cat"],
    "recipe": RECIPES["clean"].to_json(), "sha256": {"store.json": "abc"},
    "receipts_sha256": "d1ge57",
    "counts": {"clips_in": 2, "clips_done": 1, "clips_failed": 1, "rows": {"clips": 1}},
    "tables": {"clips": ["clips/a.parquet", "clips/b.parquet"], "snippets": ["snippets/a.parquet"]},
}  # fmt: skip
MEDIA = {
    **{name: CONTENT[name] for name in ("schema_version", "dataset", "subset_id", "counts")},
    "kind": "media", "features": "out", "tables": {},
}  # fmt: skip


def write(folder: Path, content: dict[str, Any]) -> Path:
    (folder / MANIFEST).write_bytes(encode_record(content))
    return folder


def test_what_was_written_is_read(tmp_path: Path) -> None:
    for path in (write(tmp_path, CONTENT), tmp_path / MANIFEST):
        found = read_store_manifest(path)
        assert (found.root, found.dataset, found.subset_id) == (tmp_path, "llp", "5ub5e7")
        assert found.vocabulary == ("Dog", "Cat")
        assert found.tables == CONTENT["tables"]
        assert found.paths("clips") == [
            tmp_path / "clips" / name for name in ("a.parquet", "b.parquet")
        ]
        assert found.paths("proposals") == []
        assert found.checksums == {"store.json": "abc"}
        assert found.receipts_digest == "d1ge57"


def test_store_of_version_1_has_no_checksums(tmp_path: Path) -> None:
    lacking = ("sha256", "receipts_sha256", "counts")
    first = {name: value for name, value in CONTENT.items() if name not in lacking}
    (tmp_path / MANIFEST).write_text(json.dumps(first))
    found = read_store_manifest(tmp_path)
    assert found.checksums == {}
    assert found.receipts_digest is None


def test_coverage_is_what_stands_beside_the_manifest(tmp_path: Path) -> None:
    for text, wanted in (('{"clips": 3}', {"clips": 3}), ("[]", {}), ("{", {}), (None, {})):
        (tmp_path / "coverage.json").unlink(missing_ok=True)
        if text is not None:
            (tmp_path / "coverage.json").write_text(text)
        assert StoreManifest(tmp_path, CONTENT).coverage == wanted


def test_folder_without_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no manifest\.json, so no finished feature store"):
        read_store_manifest(tmp_path / "none")


def test_folder_of_media_is_opened_where_media_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, MEDIA)
    with pytest.raises(UsageError, match=f"{tmp_path} holds media; give the --out of a features"):
        read_store_manifest(tmp_path)
    assert read_store_manifest(tmp_path, media=True).dataset == "llp"
    write(tmp_path, {**MEDIA, "features": None})
    assert read_store_manifest(tmp_path, media=True).paths("media") == []
    assert decode_manifest(encode_record(CONTENT), "x", media=True)["dataset"] == "llp"


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.pop(name)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without("dataset"), "it has no 'dataset'"),
        (without("subset_id"), "it has no 'subset_id'"),
        (without("tables"), "it has no 'tables'"),
        (without("vocabulary"), "it has no 'vocabulary'"),
        (without("recipe"), "it has no 'recipe'"),
        ({"schema_version": True}, "schema version True, this program reads 1"),
        ({"schema_version": 99}, "schema version 99"),
        ({"recipe": {}}, "it holds no recipe of this program"),
        ({"tables": {"clips": ["/etc/passwd"]}}, "'/etc/passwd', which is not a path under"),
        ({"tables": {"clips": ["a/../../b"]}}, "'a/../../b', which is not a path under"),
        ({"tables": {"clips": [""]}}, "'', which is not a path under"),
        ({"tables": {"clips": ["b", "a", "a"]}}, "it names 'a' twice"),
        ({"tables": {"clips": ["a"], "events": ["b", "a"]}}, "it names 'a' twice"),
        ({"tables": {"clips": [3]}}, "an item of 'clips' is 3"),
        ({"sha256": {"store.json": 3}}, "'sha256' of 'store.json' is 3"),
        ({"counts": []}, "'counts' is []"),
        ({"counts": {"clips_in": 1, "clips_done": 1}}, "it has no 'clips_failed'"),
        ({"counts": {"clips_in": "1"}}, "'clips_in' is"),
        (
            {"counts": {"clips_in": 1, "clips_done": 1, "clips_failed": 0, "rows": {"clips": "1"}}},
            "'rows' of 'clips' is",
        ),
        ({"vocabulary": [1]}, "an item of 'vocabulary' is 1"),
    ],
)
def test_entry_that_cannot_be_right_is_named(spoil: Any, said: str) -> None:
    content = json.loads(json.dumps(CONTENT))
    if isinstance(spoil, dict):
        content |= spoil
    else:
        spoil(content)
    with pytest.raises(UsageError) as refused:
        decode_manifest(encode_record(content), "out/manifest.json")
    assert said in str(refused.value)
    assert "out/manifest.json is not readable as a store's manifest" in str(refused.value)
    assert "run the same beam run features command again" in str(refused.value)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [({"features": 3}, "'features' is 3"), ({"counts": None}, "'counts' is null")],
)
def test_entry_of_media_that_cannot_be_right_is_named(spoil: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        decode_manifest(encode_record({**MEDIA, **spoil}), "m/manifest.json", media=True)
    assert said in str(refused.value)
    assert "run the same beam run download command again" in str(refused.value)


def test_subset_id_is_that_of_the_keys_whatever_their_order() -> None:
    assert subset_id(["b", "a"]) == subset_id(["a", "b"]) != subset_id(["a"])
    assert len(subset_id([])) == 16
    joined = hashlib.sha256(b"a\nb").hexdigest()
    assert subset_id(["b", "a"]) == joined[:16]


def test_manifest_whose_own_checksum_was_taken_out_is_refused() -> None:
    edited = json.dumps({**CONTENT, "dataset": "other"}).encode()
    with pytest.raises(UsageError, match="has checksums of the files and none of its own"):
        decode_manifest(edited, "x")
    first = {name: value for name, value in CONTENT.items() if name != "receipts_sha256"}
    assert decode_manifest(json.dumps(first).encode(), "x")["dataset"] == "llp"
