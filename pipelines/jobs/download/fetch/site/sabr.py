"""Formats that YouTube sends by SABR, its own protocol, with yt-dlp's downloader where it has one.

yt-dlp's released versions have none so far (its pull request 13515). The downloader asks through
the guard like everything else, and fetches a format whole.
"""

from pathlib import Path
from typing import Any

from yt_dlp.utils import DownloadError

from pipelines.jobs.download.fetch.formats import Format
from pipelines.jobs.download.fetch.guard import GuardedYoutubeDL
from pipelines.jobs.download.fetch.head import check_head


def fetch_by_sabr(
    ydl: GuardedYoutubeDL, folder: Path, info: dict[str, Any], formats: list[Format]
) -> list[str]:
    """Return a file for each format; raises whatever yt-dlp's downloader raises."""
    whole = {key: value for key, value in info.items() if key != "requested_formats"}
    paths = []
    for number, chosen in enumerate(formats):
        path = folder / f"source{number}.media"
        done, _ = ydl.dl(str(path), {**whole, **chosen})
        if not done or not path.exists():
            raise DownloadError("yt-dlp's downloader for SABR ended without a file")
        check_head(path)
        paths.append(str(path))
    return paths
