"""What is in the way is said with its remedy, and a job whose first videos all meet it stops."""

import os
import sys
from pathlib import Path

import pytest

from pipelines.jobs.download.fetch.obstacles import OBSTACLES, find_obstacle
from pipelines.jobs.download.first_videos import MOST_ALIKE, FirstVideos
from schemas import JobError, Reason
from tests.pipelines.jobs.download.conftest import (
    Download,
    clip_key,
    read_media,
    write_clips,
    youtube_id,
)
from tests.pipelines.jobs.download.server import Fault, Site

BY_NAME = {obstacle.name: obstacle for obstacle in OBSTACLES}
PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
ALONE = ("--hosts", "127.0.0.1", "--videos-per-hour", 0, "--breaker-after", 99)


def test_each_obstacle_has_its_own_words(
    site: Site, tmp_path: Path, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabr, sign_in, refused, token = (youtube_id(i) for i in range(4))
    site.play_without_addresses(sabr)
    site.refuse(sign_in, "Sign in to confirm you’re not a bot", status="LOGIN_REQUIRED")  # noqa: RUF001
    site.faults[f"/watch/{refused}"] = Fault("403")
    site.play(token, "/nowhere.mp4", 20.0, itag=134)
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in (sabr, sign_in, refused)])
    assert download(clips, *ALONE, "--patience-minutes", 0).returncode == 1
    found = read_media(tmp_path / "media", "failures")
    wanted = {
        sabr: ("sabr", "format"),
        sign_in: ("sign_in", "bot_check"),
        refused: ("client_refused", "rate_limited"),
    }
    for name, (obstacle, reason) in wanted.items():
        failure = found[clip_key(name, 0.0, 3.0)]
        assert failure["reason"] == reason, failure["detail"]
        assert failure["detail"].startswith(f"{BY_NAME[obstacle].detail}: ")
        assert BY_NAME[obstacle].remedy in failure["detail"]
    clips = write_clips(tmp_path / "token", [(token, 0.0, 3.0)])
    more = ("--youtube-args", "player_client=ios")
    assert download(clips, *ALONE, *more, media=tmp_path / "ios").returncode == 1
    (failure,) = read_media(tmp_path / "ios", "failures").values()
    assert (failure["reason"], failure["detail"].split(":")[0]) == (
        "format", BY_NAME["token"].detail
    )  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path))  # no runtime for JavaScript
    monkeypatch.setenv("EARSIGHT_TEST_CLIENTS", "real")
    clips = write_clips(tmp_path / "javascript", [(sabr, 0.0, 3.0)])
    assert download(clips, *ALONE, media=tmp_path / "real").returncode == 1
    (failure,) = read_media(tmp_path / "real", "failures").values()
    assert failure["detail"].startswith(BY_NAME["javascript"].detail)


def test_token_opens_the_way(
    site: Site,
    films: dict[str, Path],
    tmp_path: Path,
    download: Download,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = "dG9rZW4="
    site.files = {f"/film.mp4?pot={token.replace('=', '%3D')}": films["video"]}
    site.files["/token"] = token.encode()
    site.play(youtube_id(0), "/film.mp4", 20.0, itag=134)
    clips = write_clips(tmp_path / "clips", [(youtube_id(0), 2.0, 5.0)])
    by_hand = ("--youtube-args", f"player_client=ios;po_token=ios.gvs+{token}")
    assert download(clips, *ALONE, *by_hand).returncode == 0
    assert "/token" not in site.clips_asked()
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "token_plugins"))
    monkeypatch.setenv("EARSIGHT_TEST_TOKENS", "ready")
    media = tmp_path / "provided"
    done = download(clips, *ALONE, "--youtube-args", "player_client=ios", media=media)
    assert done.returncode == 0, done.stdout
    assert site.clips_asked()["/token"] >= 1  # for the player too
    assert all(row["format_id"] == "134" for row in read_media(media).values())


def test_warning_of_the_first_video_is_there_for_the_second(
    site: Site, tmp_path: Path, download: Download
) -> None:
    names = [youtube_id(i) for i in range(2)]
    for name in names:
        site.play_without_addresses(name)
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    assert download(clips, *ALONE).returncode == 1
    details = [row["detail"] for row in read_media(tmp_path / "media", "failures").values()]
    assert all(detail.startswith(BY_NAME["sabr"].detail) for detail in details)


@pytest.mark.parametrize("more", [(), PROCESSES])
def test_job_whose_first_videos_all_fail_alike_stops(
    site: Site,
    tmp_path: Path,
    download: Download,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # of the workers
    names = [youtube_id(i) for i in range(MOST_ALIKE + 10)]
    for name in names:
        site.play_without_addresses(name)
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    done = download(clips, *ALONE, "--unit-size", 2, *more)
    assert done.returncode == 1
    assert f"the first {MOST_ALIKE} videos all failed" in done.stderr
    assert BY_NAME["sabr"].remedy in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert MOST_ALIKE <= len(site.clips_asked()) <= MOST_ALIKE + 2 * len(more)  # on their way
    assert not list((tmp_path / "state").glob("first-videos-*"))
    assert download(clips, *ALONE, "--keep-going").returncode == 1
    assert len(site.clips_asked()) == len(names)  # those that failed were kept


def test_only_the_same_obstacle_from_the_start_on_counts(tmp_path: Path) -> None:
    workers = [FirstVideos(tmp_path / "run") for _ in range(3)]
    for number in range(MOST_ALIKE - 1):  # all workers of a job count together
        workers[number % 3].note("sabr")
    for first in workers:
        with pytest.raises(JobError, match="SABR"):
            first.note("sabr")
    for other in ("", "token"):
        first = FirstVideos(tmp_path / f"run-{other}")
        for name in ["sabr"] * (MOST_ALIKE - 1) + [other] + ["sabr"] * 50:
            first.note(name)


@pytest.mark.parametrize(
    ("reason", "text", "name"),
    [
        (Reason.FORMAT, "x: Some android_vr client https formats have been skipped as they are "
         "missing a URL. YouTube may have enabled the SABR-only streaming experiment for the "
         "current session. See  https://github.com/yt-dlp/yt-dlp/issues/12482  for more details",
         "sabr"),
        (Reason.FORMAT, "x: mweb client https formats require a GVS PO Token which was not "
         "provided. They will be skipped as they may yield HTTP Error 403.", "token"),
        (Reason.FORMAT, "No supported JavaScript runtime could be found. Only deno is enabled by "
         "default", "javascript"),
        (Reason.FORMAT, 'Skipping unsupported client "webb"', "client_refused"),
        (Reason.BOT_CHECK, "[youtube] x: Sign in to confirm you’re not a bot.", "sign_in"),  # noqa: RUF001
        (Reason.GONE, "No supported JavaScript runtime could be found", None),
        (Reason.NETWORK, "Failed to extract any player response", None),
    ],
)  # fmt: skip
def test_words_of_yt_dlp(reason: Reason, text: str, name: str | None) -> None:
    found = find_obstacle(reason, ["[youtube] x: Requested format is not available", text])
    assert (found.name if found else None) == name
