"""What YouTube says becomes a reason: through yt-dlp's own extractor, and by words alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from yt_dlp.utils import js_to_json

from pipelines.jobs.download.fetch.messages import FetchRequest, FetchResult
from pipelines.jobs.download.fetch.reasons import classify_error, reason_of_words, retry_after
from pipelines.jobs.download.pool import FetchProcess
from schemas import Reason
from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    read_media,
    reasons,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.server import Fault, Site

SAID: tuple[tuple[str, str, str], ...] = (
    ("Sign in to confirm you’re not a bot", "This helps protect our community. Learn more",  # noqa: RUF001
     "bot_check"),
    ("Video unavailable", "This video is no longer available because the YouTube account "
     "associated with this video has been terminated.", "gone"),
    ("Video unavailable", "This video has been removed by the uploader", "gone"),
    ("Video unavailable", "", "gone"),
    ("This video has been removed for violating YouTube's policy on hate speech.", "", "gone"),
    ("Video unavailable", "This video contains content from SME, who has blocked it on copyright "
     "grounds", "gone"),
    ("Video unavailable", "This video contains content from SME, who has blocked it in your "
     "country on copyright grounds", "geo_blocked"),
    ("Video unavailable", "The uploader has not made this video available in your country",
     "geo_blocked"),
    ("Private video", "Sign in if you've been granted access to this video", "private"),
    ("This video is private", "", "private"),
    ("Join this channel to get access to members-only content like this video, and other "
     "exclusive perks.", "", "private"),
    ("This video is available to this channel's members on level: Gold (or any higher level). "
     "Join this channel to get access to members-only content.", "", "private"),
    ("This video requires payment to watch.", "", "private"),
    ("This content isn't available, try again later.", "", "rate_limited"),
    ("Sign in to confirm your age", "This video may be inappropriate for some users.",
     "age_restricted"),
    ("This video is age-restricted and only available on YouTube", "", "age_restricted"),
    ("Premieres in 3 hours", "", "not_found"),
    ("This live event will begin in a few moments.", "", "not_found"),
)  # fmt: skip
"""Reason and subreason as the site gives them, and what they mean."""


def test_what_the_site_says_becomes_a_reason(
    site: Site, tmp_path: Path, download: Download
) -> None:
    wanted = {}
    for number, (said, more, reason) in enumerate(SAID):
        site.refuse(youtube_id(number), said, more)
        wanted[clip_key(youtube_id(number), 0.0, 10.0)] = reason
    clips = write_clips(
        tmp_path / "clips", [(youtube_id(number), 0.0, 10.0) for number in range(len(SAID))]
    )
    more_words = ("--hosts", "127.0.0.1", "--videos-per-hour", 0, "--breaker-after", 99)
    done = download(clips, *more_words)
    assert done.returncode == 1, done.stderr[-2000:]
    assert reasons(tmp_path / "media") == wanted
    failures = read_media(tmp_path / "media", "failures")
    for number, (said, _, _) in enumerate(SAID):
        detail = failures[clip_key(youtube_id(number), 0.0, 10.0)]["detail"]
        if not said.startswith("Video unavailable"):
            assert said.rstrip(".")[:60] in detail  # the full message is kept
    permanent = {row["reason"] for row in failures.values() if not row["retryable"]}
    assert permanent == {"gone", "private", "geo_blocked", "age_restricted"}


def test_status_that_the_extractor_hides_is_found(
    site: Site, tmp_path: Path, download: Download
) -> None:
    name = youtube_id(1)
    site.faults[f"/watch/{name}"] = Fault("429", None, "900")
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 10.0)])
    more = ("--hosts", "127.0.0.1", "--videos-per-hour", 0, "--patience-minutes", 0)
    assert download(clips, *more).returncode == 1
    (failure,) = read_media(tmp_path / "media", "failures").values()
    assert failure["reason"] == "rate_limited"
    assert failure["retryable"]
    assert "HTTP Error 429" in failure["detail"]
    assert site.clips_asked() == {f"/watch/{name}": 1}  # Retry-After keeps it alone


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ERROR: [youtube] dQw4w9WgXcQ: Requested format is not available. Use --list-formats for "
         "a list of available formats", Reason.FORMAT),
        ("[youtube] x: This video is DRM protected", Reason.FORMAT),
        ("[youtube] x: All player responses are invalid. Your IP is likely being blocked by "
         "Youtube", Reason.BOT_CHECK),
        ("[youtube] dQw4w9WgXcQ: Video unavailable. YouTube is requiring a captcha challenge "
         "before playback", Reason.BOT_CHECK),
        ("Read timed out.", Reason.TIMEOUT),
        ("[Errno 104] Connection reset by peer", Reason.NETWORK),
        ("something that nobody has said before", Reason.NETWORK),
    ],
)  # fmt: skip
def test_words_alone(text: str, reason: Reason) -> None:
    assert reason_of_words(text) is reason


def test_bug_of_ours_is_internal_and_one_of_a_site_is_not() -> None:
    def caught(run: Callable[[], object]) -> BaseException:
        try:
            run()
        except Exception as error:  # noqa: BLE001 whatever it is
            return error
        raise AssertionError

    ours = classify_error(caught(lambda: 1 // 0), site=True)
    assert ours.reason is Reason.INTERNAL
    assert "test_reasons.py" in ours.detail  # where it happened
    theirs = classify_error(caught(lambda: js_to_json(5)), site=True)
    assert theirs.reason is Reason.NETWORK
    assert classify_error(OSError("no route"), site=False).reason is Reason.NETWORK
    assert classify_error(MemoryError(), site=False).reason is Reason.TOO_LARGE


def test_bug_in_the_work_on_one_clip_costs_that_clip(
    films: dict[str, Path], tmp_path: Path, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = FetchProcess.ask

    def broken(self: FetchProcess, request: FetchRequest) -> FetchResult:
        if request.key == "two_0_3":
            raise ZeroDivisionError("a bug")
        return ask(self, request)

    monkeypatch.setattr(FetchProcess, "ask", broken)
    source = tmp_path / "source"
    source.mkdir()
    for name in ("one", "two"):
        (source / f"{name}_0_3.mp4").write_bytes(films["clip"].read_bytes())
    clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0), ("two", 0.0, 3.0)])
    done = download(clips, "--source", source)
    assert done.returncode == 1
    assert "1 clips met a bug of earsight" in done.stdout
    assert read_media(tmp_path / "media").keys() == {"one_0_3"}
    (failure,) = read_media(tmp_path / "media", "failures").values()
    assert failure["reason"] == "internal"
    assert "ZeroDivisionError: a bug" in failure["detail"]


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after("17") == 17.0
    assert retry_after("999999999") == 86_400.0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("next week") is None
    assert retry_after("Fri, 31 Dec 99999 23:59:59 GMT") is None  # no such day
    assert retry_after("Fri, 31 Dec 9999 23:59:59 -0100") == 86_400.0
