"""The page about a media folder, on what a real job left."""

from pathlib import Path

from pipelines import cli
from pipelines.commands.report.media_page import _days
from tests.complaints import run_here, sentence
from tests.pipelines.jobs.download.conftest import Download, write_clips


def test_page_of_a_media_folder_says_what_came_and_why_not(
    download: Download, films: dict[str, Path], tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "one_0_3.mp4").write_bytes(films["clip"].read_bytes())
    (here / "bad_0_3.mp4").write_bytes(b"no film")
    names = ("one", "bad", "absent")
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    media = tmp_path / "media"
    assert download(clips, "--source", here, media=media).returncode == 0
    html = tmp_path / "page.html"
    assert run_here(cli.main, "report", media, "--html", html).returncode == 0
    page = html.read_text()
    assert "1 clips downloaded" in page
    assert "1 of 3 clips (33.3 %)" in page
    for text in (
        "not_found",
        "corrupt",
        "one_0_3",
        "as_is",
        "a folder or an archive",
        "Over time",
        "Decay",
    ):
        assert text in page
    said = sentence(run_here(cli.main, "report", media, "--media", here))
    assert "is a media folder" in said


def test_decay_is_counted_day_by_day() -> None:
    media = [{"fetched_at": "2026-11-20T08:00:00"}] * 3 + [{"fetched_at": "2026-11-22T08:00:00"}]
    failures = [
        {"at": "2026-11-20T09:00:00", "reason": "gone"},
        {"at": "2026-11-22T09:00:00", "reason": "private"},
        {"at": "2026-11-22T09:00:00", "reason": "gone"},
        {"at": "2026-11-22T09:00:00", "reason": "gone"},
        {"at": "2026-11-21T09:00:00", "reason": "network"},  # it may come yet
    ]
    rows = [[shown for shown, _ in row] for row in _days(media, failures)]
    assert rows == [
        ["2026-11-20", "3", "1", "25.0", "gone 1"],
        ["2026-11-22", "1", "3", "50.0", "gone 2, private 1"],
    ]
