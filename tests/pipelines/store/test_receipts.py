"""Receipts: what contradicts itself is refused; what many of them add up to."""

from dataclasses import replace

import pytest

from pipelines.store.receipts import Receipt, StoreState, merge_provenance, receipts_digest
from schemas import Failure, Reason

WHOLE = Receipt(
    "unit-1", ("a",), (), {"clips": "clips/unit-1.parquet", "snippets": "snippets/unit-1.parquet"},
    {"clips": 1, "snippets": 5}, 30, {"read": 1.0}, {"ffmpeg": "7"}, (), "0123456789ab",
    {"clips": 10, "snippets": 20}, {"clips": "aa", "snippets": "bb"},
)  # fmt: skip
FAILURE = Failure("b", "find", Reason.NETWORK, "broke", 1, "2026-01-01")


def test_whole_receipt_comes_back() -> None:
    assert Receipt.decode(WHOLE.encode()) == WHOLE
    assert WHOLE.has_checksums
    assert Receipt.decode(replace(WHOLE, sizes={}, sha256={}).encode()).warming == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parts": {**WHOLE.parts, "clips": "clips/unit-2.parquet"}}, "no part of unit"),
        ({"parts": {**WHOLE.parts, "clips": "clips/unit-1.json"}}, "no part of unit"),
        ({"parts": {**WHOLE.parts, "clips": "clips/unit-1/../x.parquet"}}, "no part of unit"),
        ({"parts": {**WHOLE.parts, "clips": "snippets/unit-1.parquet"}}, "no part of unit"),
        ({"rows": {"clips": 1}}, "rows are not those of its parts"),
        ({"sha256": {"clips": "aa"}}, "no checksum of one of its parts"),
        ({"sizes": {"clips": 10}}, "no checksum of one of its parts"),
    ],
)
def test_receipt_that_contradicts_itself_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Receipt.decode(replace(WHOLE, **changes).encode())  # type: ignore[arg-type]


def test_part_takes_the_place_of_another() -> None:
    changed = WHOLE.with_part("clips", "clips/unit-1-x.parquet", 15, "cc")
    assert changed.parts == {**WHOLE.parts, "clips": "clips/unit-1-x.parquet"}
    assert (changed.size, changed.sizes["clips"], changed.sha256["clips"]) == (35, 15, "cc")
    assert changed.rows == WHOLE.rows
    old = replace(WHOLE, sizes={}, sha256={}).with_part("clips", "clips/unit-1-x.parquet", 15, "cc")
    assert (old.size, dict(old.sizes), dict(old.sha256)) == (30, {}, {})
    assert old.parts == changed.parts


def test_receipts_that_another_replaces_do_not_count() -> None:
    pack = replace(WHOLE, unit="pack-1", done=("a", "b"), replaces=("unit-1", "unit-2"))
    other = replace(WHOLE, unit="unit-3", done=("c",), failed=(FAILURE,))
    state = StoreState.of([pack, WHOLE, other])
    assert [receipt.unit for receipt in state.receipts] == ["pack-1", "unit-3"]
    assert state.replaced == {"unit-1", "unit-2"}
    assert state.done == {"a", "b", "c"}
    assert state.failed == {}
    assert StoreState((other,)).replaced == frozenset()
    assert StoreState((other,)).failed == {"b": FAILURE}


def test_facts_that_differ_stand_side_by_side() -> None:
    one = replace(WHOLE, provenance={"ffmpeg": "7", "torch": "2"})
    two = replace(WHOLE, provenance={"ffmpeg": "6 | 7"})
    assert merge_provenance([one, two]) == {"ffmpeg": "6 | 7", "torch": "2"}


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": "unit-2"}, {"done": ("b",)}, {"failed": (FAILURE,)},
        {"parts": {"clips": "clips/x"}}, {"rows": {"clips": 2}}, {"sha256": {"clips": "cc"}},
    ],
)  # fmt: skip
def test_digest_follows_what_is_committed_but_not_the_order(changes: dict[str, object]) -> None:
    other = replace(WHOLE, **changes)  # type: ignore[arg-type]
    assert receipts_digest([WHOLE]) != receipts_digest([other])
    assert receipts_digest([WHOLE, other]) == receipts_digest([other, WHOLE])
    assert receipts_digest([replace(WHOLE, seconds={})]) == receipts_digest([WHOLE])
