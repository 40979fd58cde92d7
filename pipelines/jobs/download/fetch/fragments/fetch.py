"""A video that comes as fragments: formats of a site, or the HLS playlist of a mirror."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.jobs.download.fetch.cut import find_window
from pipelines.jobs.download.fetch.fragments.client import FragmentClient
from pipelines.jobs.download.fetch.fragments.clock import FragmentSource
from pipelines.jobs.download.fetch.fragments.dash import listed_rendition
from pipelines.jobs.download.fetch.fragments.playlist import (
    choose_variant,
    parse_playlist,
    read_rendition,
)
from pipelines.jobs.download.fetch.fragments.rendition import Rendition
from pipelines.jobs.download.fetch.fragments.section import copy_fragments
from pipelines.jobs.download.fetch.guard import GuardedYoutubeDL
from pipelines.jobs.download.fetch.messages import FetchedMedia, FetchRequest
from pipelines.jobs.download.fetch.section import SHIFT_S


class FragmentedVideo:
    """Formats of one video that come as fragments; what is fetched stays in `folder`."""

    def __init__(
        self,
        ydl: GuardedYoutubeDL,
        folder: Path,
        source: str,
        format_id: str,
        *,
        first_pause_s: float = 0.5,
    ) -> None:
        """Make a video of which nothing is known yet; `source`, `format_id` are for records."""
        self._ydl, self._folder, self._first_pause_s = ydl, folder, first_pause_s
        self._source, self._format_id = source, format_id
        self._sources: list[FragmentSource] = []

    def add_format(self, chosen: Mapping[str, Any], headers: dict[str, str]) -> None:
        """Read what a format's fragments are: everything, or the picture, or the sound."""
        if chosen.get("protocol") == "http_dash_segments":
            self._add(self._client(headers), listed_rendition(chosen))
        else:
            self._add_playlist(chosen["url"], headers)

    def add_playlist(self, text: str, address: str, headers: dict[str, str], height: int) -> None:
        """Read a mirror's playlist, which came from `address`."""
        playlist = parse_playlist(text, address)
        if playlist.is_variant:
            variant = choose_variant(playlist, address, height)
            for place in filter(None, (variant.video, variant.audio)):
                self._add_playlist(place, headers)
            return
        self._add(self._client(headers), read_rendition(playlist, address))

    def fetch(self, request: FetchRequest) -> FetchedMedia:
        """Fetch the fragments that cover a clip, those that are there already not again."""
        duration_s = max(source.rendition.duration_s for source in self._sources)
        window = find_window(request, duration_s, request.extent)
        folder = Path(request.folder)
        paths = copy_fragments(self._sources, window.start_s, window.end_s, folder)
        return FetchedMedia(
            str(paths[0]), str(paths[1]) if len(paths) > 1 else None, self._source,
            self._format_id, duration_s, SHIFT_S, "fragments",
        )  # fmt: skip

    def _client(self, headers: dict[str, str]) -> FragmentClient:
        folder = self._folder / f"fragments{len(self._sources)}"
        folder.mkdir(exist_ok=True)
        return FragmentClient(self._ydl, headers, folder, first_pause_s=self._first_pause_s)

    def _add_playlist(self, address: str, headers: dict[str, str]) -> None:
        client = self._client(headers)
        text, place = client.playlist(address)
        self._add(client, read_rendition(parse_playlist(text, place), place))

    def _add(self, client: FragmentClient, rendition: Rendition) -> None:
        folder = self._folder / f"joined{len(self._sources)}"
        self._sources.append(FragmentSource(rendition, client, folder))
