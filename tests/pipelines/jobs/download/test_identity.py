"""Identities and hosts from users: what is wrong gets one sentence, which repeats no secret."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.jobs.download.fetch.addresses import read_hosts
from pipelines.jobs.download.identity import make_identity, read_identities
from schemas import UsageError

SECRET = "pass-s3cret"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"proxy": 5}, "proxy of identity 0 must be text"),
        ({"name": ["a"]}, "name of identity 0 must be text"),
        ({"cookies": {}}, "cookies of identity 0 must be text"),
        ({"user_agent": True}, "user_agent of identity 0 must be text"),
        ({"name": "a\x1b[2J"}, "must be printable"),
        ({"name": "x" * 500}, "at most 80 letters"),
        ({"proxy": f"http://me:{SECRET}@[::1"}, "--proxy must be an address"),
        ({"proxy": f"http://me:{SECRET}@h:99999"}, "--proxy must be an address"),
        ({"proxy": f"ftp://me:{SECRET}@h"}, "--proxy must be an address"),
        ({"user_agent": f"{SECRET}\r\nX: y"}, "one line of text"),
        ({"videos_per_hour": "many"}, "it must be a number"),
        ({"videos_per_hour": float("inf")}, "it must be a number"),
        ({"cookies": "nowhere.txt"}, "cannot be read"),
        ({"cookies": "mine.json"}, "is not in Netscape form"),
        ({"passwort": SECRET}, "unknown field 'passwort'"),
    ],
)
def test_wrong_identities_get_one_sentence(
    tmp_path: Path, entry: dict[str, Any], said: str
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([entry]))
    with pytest.raises(UsageError, match=said) as caught:
        read_identities(path, 280.0)
    assert SECRET not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", "[" * 100_000, "null", "\xff"])
def test_files_that_are_no_list_of_identities(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"mine\.json"):
        read_identities(path, 280.0)


def test_two_identities_must_differ(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    for entries in ([{"name": "a"}, {"name": "b"}],
                    [{"name": "a"}, {"name": "a", "user_agent": "x"}]):  # fmt: skip
        path.write_text(json.dumps(entries))
        with pytest.raises(UsageError, match="two identities are the same"):
            read_identities(path, 280.0)
    path.write_text(json.dumps([{}, {"user_agent": "x", "videos_per_hour": 5}]))
    first, second = read_identities(path, 280.0)
    assert (first.name, first.per_hour) == ("identity0", 280.0)
    assert (second.name, second.per_hour) == ("identity1", 5.0)


def test_key_of_an_identity_is_what_a_site_sees() -> None:
    plain = make_identity(None, None, None, 280.0)
    assert plain.key == make_identity(None, None, None, 5.0).key
    assert plain.key != make_identity(None, None, "x", 280.0).key


@pytest.mark.parametrize(
    "text",
    ["a b", "http://a.example", "a.example/x", "me@a.example", "a:x", "a:99999", "[::1", ":80"],
)
def test_what_is_no_host_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="--hosts"):
        read_hosts(f"good.example,{text}")
