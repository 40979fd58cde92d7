"""Names, addresses and answers that mean harm: no escape, no crash, a reason each."""

import random
import string
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.jobs.download.fetch.addresses import (
    check_name,
    check_template,
    mirror_address,
    youtube_address,
)
from pipelines.jobs.download.fetch.guard import Allowance
from pipelines.store.coverage import Coverage
from schemas import Clip, KnownError, Reason, UsageError
from tests.pipelines.conftest import Beam
from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    counts,
    reasons,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.server import Fault, Site

BAD = (
    "--exec=touch pwned", "-o/etc/passwd", "../../etc/passwd", "/etc/passwd", "..", ".", ".hidden",
    "a/b", "a\\b", "a\x00b", "a\rb", "file:///etc/passwd", "concat:/etc/passwd|x", "$(touch pwned)",
    "`id`", "a;b", "a|b", "a&b", "a>b", "a'b", 'a"b', "%2e%2e%2f", "a%00b", "http://127.0.0.1/x",
    "pipe:0", "*", "?", "[a-z]", "{a,b}", "~root", "x" * 5000, "\u202egpj.exe", "a\u2028b",
    "\ud7ff\x1b[31m", "nul\x7f",
)  # fmt: skip


def hostile_names(n: int) -> Iterator[str]:
    """The names above, and endlessly many like them."""
    dice = random.Random(7)
    yield from BAD
    for _ in range(n - len(BAD)):
        core = dice.choice(BAD)
        noise = "".join(dice.choices(string.printable + "\x00\x1b/\\.:%", k=dice.randrange(1, 12)))
        yield dice.choice((core + noise, noise + core, f"..{noise}/{core}", f"/{noise}{core}"))


def fits_a_line(name: str) -> bool:
    """Tell whether a line of the annotation file can hold a name; its reader refuses the others."""
    control = any(unicodedata.category(sign) == "Cc" for sign in name)
    return not control and not set(name) & set(',"#')


def test_thousand_hostile_names_never_make_a_path_or_an_address(tmp_path: Path) -> None:
    refused = 0
    for name in hostile_names(1000):
        with pytest.raises(KnownError) as caught:
            youtube_address(name)
        assert caught.value.reason is Reason.UNSAFE_INPUT
        try:
            path = tmp_path / f"{check_name(name)}.mp4"
        except KnownError:
            refused += 1
            continue
        assert path.parent == tmp_path
        assert path.name == f"{name}.mp4"
        assert not name.startswith(".")
    assert refused > 900


def test_thousand_hostile_names_through_the_job(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    names = [
        name
        for name in dict.fromkeys(hostile_names(1600))
        if fits_a_line(name) and name.strip() == name and name
    ]
    assert len(names) > 500
    site.files["/clips/good_0_3.mp4"] = films["clip"]
    clips = write_clips(tmp_path / "clips", [("good", 0.0, 3.0), *((n, 0.0, 3.0) for n in names)])
    before = {path for path in tmp_path.iterdir() if path.name not in ("media", "state")}
    done = download(clips, "--source", f"{site.address}/clips/{{clip_key}}.mp4")
    assert done.returncode == 1, done.stderr[-2000:]
    media = tmp_path / "media"
    total = counts(media)
    assert total["clips_done"] == 1
    assert total["clips_in"] == len(names) + 1
    found = reasons(media)
    unsafe = sum(reason == "unsafe_input" for reason in found.values())
    assert unsafe > 0.9 * len(names)
    assert set(found.values()) <= {"unsafe_input", "gone"}
    # what was asked is under /clips/ and one segment deep; the rest never left the machine
    assert all(one.path.count("/") == 2 for one in site.asked)
    assert {path.name for path in media.glob("*.mp4")} == {"good_0_3.mp4"}
    assert {path for path in tmp_path.iterdir() if path.name not in ("media", "state")} == before
    assert not (Path.cwd() / "pwned").exists()


def test_hostile_ids_of_the_site_are_refused_before_anything_is_asked(
    site: Site, tmp_path: Path, download: Download
) -> None:
    names = [name for name in BAD if fits_a_line(name)]
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    done = download(clips, "--hosts", "127.0.0.1", "--videos-per-hour", 0)
    assert done.returncode == 1, done.stderr[-2000:]
    assert set(reasons(tmp_path / "media").values()) == {"unsafe_input"}
    assert site.asked == []


ANSWERS: dict[str, tuple[Fault, str]] = {
    "elsewhere": (Fault("redirect", None, "http://localhost:9/x.mp4"), "unsafe_input"),
    "metadata": (Fault("redirect", None, "http://169.254.169.254/latest"), "unsafe_input"),
    "local_file": (Fault("redirect", None, "file:///etc/passwd"), "unsafe_input"),
    "ftp": (Fault("redirect", None, "ftp://127.0.0.1/x"), "unsafe_input"),
    "loop": (Fault("redirect"), "network"),
    "playlist": (Fault("playlist"), "unsafe_input"),
    "said_playlist": (Fault("playlist", None, "application/vnd.apple.mpegurl"), "unsafe_input"),
    "page": (Fault("html"), "format"),
    "hidden_page": (Fault("html", None, "video/mp4"), "format"),
    "bomb": (Fault("bomb"), "too_large"),
    "ten_gigabytes": (Fault("huge"), "too_large"),
}  # fmt: skip


def test_hostile_answers_have_a_reason_each(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    for name, (fault, _) in ANSWERS.items():
        path = f"/clips/{clip_key(name, 0.0, 3.0)}.mp4"
        site.files[path] = films["clip"]
        site.faults[path] = fault
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in ANSWERS])
    source = f"{site.address}/clips/{{clip_key}}.mp4"
    done = download(clips, "--source", source, "--tries", 1, "--max-mb", 50)
    assert done.returncode == 1, done.stderr[-2000:]
    wanted = {clip_key(name, 0.0, 3.0): reason for name, (_, reason) in ANSWERS.items()}
    assert reasons(tmp_path / "media") == wanted
    assert not list((tmp_path / "media").glob("*.mp4"))


def test_site_cannot_lead_to_another_host_or_video(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    site.files["/film.mp4"] = films["clip"]
    names = [youtube_id(i) for i in range(3)]
    site.play(names[0], "/film.mp4", 3.0, url="http://localhost:9/film.mp4")
    site.play(names[1], "/film.mp4", 3.0, url="file:///etc/passwd")
    site.play(names[2], "/film.mp4", 3.0)
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    done = download(clips, "--hosts", "127.0.0.1", "--videos-per-hour", 0, "--tries", 1)
    assert done.returncode == 1, done.stderr[-2000:]
    found = reasons(tmp_path / "media")
    assert found[clip_key(names[0], 0.0, 3.0)] == "unsafe_input"
    assert found[clip_key(names[1], 0.0, 3.0)] in ("unsafe_input", "format")
    assert len(found) == 2


@pytest.mark.parametrize(
    "template",
    ["ftp://a/{video_id}", "http://{video_id}/x", "https://a/x.mp4", "https://a/{label}",
     "http:///{video_id}", "https://a/{video_id}\n", "https://a b/{video_id}"],
)  # fmt: skip
def test_template_that_is_none_is_named(template: str) -> None:
    with pytest.raises(UsageError, match="--source"):
        check_template(template)


def test_names_are_encoded_into_addresses() -> None:
    clip = Clip("a b+c@d", 1.0, 4.0)
    assert mirror_address("http://h/{video_id}?s={start}&e={end}", clip) == (
        "http://h/a%20b%2Bc%40d?s=1&e=4"
    )


def test_only_the_given_hosts_may_be_asked() -> None:
    allowance = Allowance(("a.example",), 1000, 10.0)
    allowance.check_address("https://a.example/x")
    allowance.check_address("https://cdn.a.example/x")
    for address in ("https://b.example/", "https://a.example.evil/", "https://evila.example/",
                    "https://a.example@evil/", "gopher://a.example/", "//a.example/x"):  # fmt: skip
        with pytest.raises(KnownError) as caught:
            allowance.check_address(address)
        assert caught.value.reason is Reason.UNSAFE_INPUT


def test_labels_cannot_break_out_of_the_coverage_page() -> None:
    label = "a|b\n# head <script>\x00"
    clips = [Clip("v", 0.0, 1.0, labels=(label,))]
    page = Coverage.of("folder|x", clips, {"v_0_1"}, {}, "0" * 16).to_markdown()
    assert "<script>" not in page
    assert "\x00" not in page
    assert not any(line.startswith("# head") for line in page.splitlines())
    assert all(
        line.replace("\\|", "").count("|") == 5 for line in page.splitlines() if line[:1] == "|"
    )


def test_file_addresses_are_no_source(tmp_path: Path, beam: Beam) -> None:
    words = ("run", "download", "--dataset", "folder", "--media", tmp_path / "m", "--source")
    for source in ("file:///etc/{video_id}", "concat:///etc/passwd", "ftp://h/{video_id}"):
        done = beam(*words, source)
        assert done.returncode == 2
        assert "allowed are" in done.stderr
