"""JSON records: what was written comes back, what was changed is noticed, types are checked."""

import json
import random

import pytest

from schemas.checked_json import Record, decode_record, encode_record, parse_json

CONTENT = {"name": "a", "count": 3, "share": 0.1, "parts": {"x": ["p", "q"]}, "tiny": 1e-300}


def test_content_comes_back() -> None:
    record = decode_record(encode_record(CONTENT))
    assert record.content == CONTENT
    assert record.checked


def test_record_of_version_1_has_no_checksum() -> None:
    record = decode_record(json.dumps(CONTENT).encode())
    assert record.content == CONTENT
    assert not record.checked


def test_every_flip_that_changes_the_content_is_noticed() -> None:
    data, dice = encode_record(CONTENT), random.Random(0)
    noticed = 0
    for _ in range(500):
        place = dice.randrange(len(data))
        spoiled = bytearray(data)
        spoiled[place] ^= 1 << dice.randrange(8)
        try:
            record = decode_record(bytes(spoiled))
        except ValueError:
            noticed += 1
        else:
            kept = {name: record.content.get(name) for name in CONTENT}
            assert kept == CONTENT, bytes(spoiled)
    assert noticed > 300


@pytest.mark.parametrize("text", ["null", '"text"', "[]", "7", "", "{", "\x80", "[" * 100_000])
def test_what_is_no_record_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_record(text.encode("latin-1"))


def test_fields_are_taken_by_their_type() -> None:
    record = Record({"text": "a", "number": 2, "flag": True, "list": ["a", 1], "map": {"a": 1}})
    assert record.get("text", str) == "a"
    assert record.get("number", float) == 2.0
    assert record.get("flag", bool) is True
    assert record.get("missing", int, 7) == 7
    assert record.items("missing", str, ()) == ()
    assert record.mapping("map", int) == {"a": 1}
    for take, said in (
        (lambda: record.get("missing", str), "it has no 'missing'"),
        (lambda: record.get("flag", int), "'flag' is true, should be a whole number"),
        (lambda: record.get("text", dict), "'text' is \"a\", should be an object"),
        (lambda: record.items("list", str), "an item of 'list' is 1, should be a string"),
        (lambda: record.mapping("map", str), "'map' of 'a' is 1, should be a string"),
    ):
        with pytest.raises(ValueError, match="^" + said.replace("(", r"\(")):
            take()


def test_records_are_text_that_one_can_read_and_whose_order_does_not_count() -> None:
    written = encode_record({"b": 1, "a": 2})
    first, *lines = written.decode().splitlines()
    assert (first, lines[:2]) == ("{", [' "b": 1,', ' "a": 2,'])
    turned = dict(reversed(json.loads(written).items()))
    assert decode_record(json.dumps(turned).encode()).content == {"a": 2, "b": 1}
    with pytest.raises(ValueError, match="the checksum differs"):
        decode_record(written.replace(b"2", b"3", 1))


def test_defaults_stand_for_missing_fields_alone() -> None:
    record = Record({"none": None, "list": [1], "map": {"a": 1.5}})
    assert record.items("missing", int, (1, 2)) == (1, 2)
    assert record.items("list", int, (7,)) == (1,)
    assert record.mapping("missing", float, {"b": 1.0}) == {"b": 1.0}
    assert record.mapping("map", float, {}) == {"a": 1.5}
    for take in (
        lambda: record.get("none", str, "x"),
        lambda: record.items("missing", int),
        lambda: record.mapping("missing", int),
    ):
        with pytest.raises(ValueError, match=r"'none' is null|it has no 'missing'"):
            take()
    assert record.checked is False


def test_kinds_are_told_apart() -> None:
    record = Record({"flag": True, "whole": 2, "number": 2.5, "text": "2"})
    assert record.get("whole", int) == 2
    assert isinstance(record.get("whole", float), float)
    for name, kind in (
        ("flag", int), ("flag", float), ("number", int), ("whole", bool), ("text", float),
        ("whole", str),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"'{name}' is .*, should be "):
            record.get(name, kind)


def test_values_in_a_sentence_are_cut() -> None:
    for length, shown in ((58, "x" * 58 + '"'), (59, "x" * 56 + "...")):
        with pytest.raises(ValueError) as refused:
            Record({"text": "x" * length}).get("text", int)
        assert str(refused.value) == f"'text' is \"{shown}, should be a whole number"
    with pytest.raises(ValueError, match="it holds null where an object should be"):
        decode_record(b"null")
    with pytest.raises(ValueError, match="its JSON is nested too deeply"):
        parse_json(b"[" * 100_000)
