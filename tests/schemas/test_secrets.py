"""No spelling of a secret is left in an address, a command line or a message."""

import random
import shlex
import string

import pytest

from schemas.secrets import redact, redact_address, redact_command, secrets_of_address

ODD = string.ascii_letters + string.digits + "'\"\\$`;|&%+!*() \t{}[]<>,~^=#?/"


def make_secrets(n: int, alphabet: str = ODD) -> list[str]:
    dice = random.Random(3)
    return ["".join(dice.choices(alphabet, k=dice.randrange(6, 20))) for _ in range(n)]


def test_command_lines_hold_no_secret_whatever_its_letters() -> None:
    for secret in make_secrets(500):
        words = ["beam", "run", "download", "--proxy", f"http://me:{secret}@h:1", "--media", "m"]
        words += [f"--user_agent={secret}", f"--youtube-args=po_token={secret}", "--tries", "3"]
        words += [f"--s3_secret_access_key={secret}", f"--my-token={secret}"]
        shown = redact_command(words)
        assert secret not in shown
        assert shlex.quote(secret) not in shown
        assert not any(secret in word for word in shlex.split(shown))
        assert [*shlex.split(shown)[-1:], *shlex.split(shown)[5:7]] == [
            "--my-token=***",
            "--media",
            "m",
        ]


def test_sources_on_a_command_line_lose_their_secrets_and_keep_their_fields() -> None:
    shown = redact_command(
        ["--source", "https://me:pw1@a.org:8080/{clip_key}.mp4?sig=k1&t={start}"]
    )
    assert shlex.split(shown)[1] == "https://***@a.org:8080/{clip_key}.mp4?sig=***&t={start}"


def test_messages_hold_no_secret_whatever_its_letters() -> None:
    for secret in make_secrets(300, string.ascii_letters + string.digits + "'\"$+/=%"):
        said = (
            f"cannot reach {secret!r} ({shlex.quote(secret)}) at http://u:{secret}@h/x?key={secret}"
        )
        assert secret not in redact(said, [secret])


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://a.org/{clip_key}@v1.mp4", "https://a.org/{clip_key}@v1.mp4"),
        ("https://a.org", "https://a.org"),
        ("https://u@a.org/x", "https://***@a.org/x"),
        ("https://u:p/w@a.org/x", "https://***@a.org/x"),
        ("https://u:p@w@a.org/x", "https://***@a.org/x"),
        ("https://a.org/x?k3y", "https://a.org/x?***"),
        ("https://a.org/x?a=1&b={end}#k", "https://a.org/x?a=***&b={end}#***"),
        ("gs://bucket/folder", "gs://bucket/folder"),
        ("folder/name?x=1", "folder/name?x=1"),
        ("u:p@a.org/x", "***@a.org/x"),
        ("//u:p@w@a.org", "//***@a.org"),
        ("/data/it@10:30/clips", "/data/it@10:30/clips"),
        ("a:b/c@d", "a:b/c@d"),
    ],
)
def test_addresses_keep_host_and_path(address: str, shown: str) -> None:
    assert redact_address(address) == shown


def test_what_is_secret_in_an_address() -> None:
    found = set(secrets_of_address("https://me:pw@a.org/{clip_key}?token=abc&t={start}#frag"))
    assert found >= {"me", "pw", "abc", "frag"}
    assert "{start}" not in found


def test_what_is_secret_in_an_address_is_listed_part_by_part() -> None:
    found = list(secrets_of_address("https://me:p:w@a.org/x?token=abc&k3y&to={end}#frag"))
    assert found == ["me:p:w", "me", "p:w", "abc", "k3y", "frag"]
    assert list(secrets_of_address("https://a.org/x")) == ["", ""]
    assert list(secrets_of_address("me:pw@a.org/x")) == []


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://a.org:8080/it@10", "https://a.org:8080/it@10"),
        ("https://a.org/it@10", "https://a.org/it@10"),
        ("https://u:p/w@x@a.org/y", "https://***@a.org/y"),
        ("https://u:p@a.org/x@y", "https://***@a.org/x@y"),
        ("https://a.org/x?", "https://a.org/x?"),
        ("https://a.org/x?{clip_key}&b", "https://a.org/x?{clip_key}&***"),
        ("https://a.org/x#", "https://a.org/x#***"),
    ],
)
def test_addresses_lose_what_is_secret_and_nothing_else(address: str, shown: str) -> None:
    assert redact_address(address) == shown


def test_secrets_are_hidden_in_every_spelling_from_four_letters_on() -> None:
    for spelling in ("a b/c'", "a%20b/c%27", "a%20b%2Fc%27", "a+b%2Fc%27", shlex.quote("a b/c'")):
        assert redact(f"said {spelling}.", ["a b/c'"]) == "said ***."
    assert redact("said a/b c", ["a%2Fb%20c"]) == "said ***"
    assert redact(r"said a\nb12", ["a\nb12"]) == "said ***"
    assert redact("abc abcd", ["abc", "abcd"]) == "abc ***"
    assert redact("pass password", ["pass", "password"]) == "*** ***"


def test_only_values_of_secret_options_are_hidden() -> None:
    assert redact_command(["--proxy", "a", "b"]) == "--proxy '***' b"
    assert redact_command(["--proxy", "--out", "b"]) == "--proxy --out b"
    assert redact_command(["--proxy=a", "b", "--out=u:p@h/x"]) == "'--proxy=***' b '--out=***@h/x'"
    assert redact_command(["proxy=a", "--proxies", "b"]) == "proxy=a --proxies b"
    assert redact_command(["--User_Agent", "a", "--API-KEY", "b"]) == (
        "--User_Agent '***' --API-KEY '***'"
    )
    assert redact_command(["--out", "https://u:p@h/x?k=1"]) == "--out 'https://***@h/x?k=***'"
