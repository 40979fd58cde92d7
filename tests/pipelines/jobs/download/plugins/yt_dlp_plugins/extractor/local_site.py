"""yt-dlp's YouTube extractor with the network taken out: player responses come from a test server.

Only the requests that would go to YouTube are replaced. What the site says (playability status,
formats) goes through the extractor's own code, so its errors and formats are the real ones.
"""

import os
from typing import Any

from yt_dlp.downloader import PROTOCOL_MAP
from yt_dlp.extractor.youtube import YoutubeIE

SERVER = "EARSIGHT_TEST_SITE"
CLIENTS = "EARSIGHT_TEST_CLIENTS"
SABR = {
    "format_id": "18-sabr", "protocol": "sabr", "ext": "mp4", "width": 320, "height": 240,
    "vcodec": "avc1.42001E", "acodec": "mp4a.40.2", "tbr": 200,
}  # fmt: skip


class LocalSiteIE(YoutubeIE, plugin_name="earsight_test"):  # type: ignore[call-arg]
    """Takes the place of yt-dlp's extractor wherever this folder is on the path."""

    def _get_requested_clients(self, *args: Any, **kwargs: Any) -> list[str]:
        if CLIENTS in os.environ:  # whatever the extractor would ask
            return super()._get_requested_clients(*args, **kwargs)
        return self._configuration_arg("player_client") or ["android_vr"]

    def _download_initial_webpage(self, *args: Any, **kwargs: Any) -> str:
        return ""

    def _download_initial_data(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {}

    def _download_player_url(self, video_id: str, *args: Any, **kwargs: Any) -> str | None:
        if CLIENTS in os.environ:
            return super()._download_player_url(video_id, *args, **kwargs)
        return None  # nothing that is served here is to be solved

    def _download_ytcfg(self, client: str, video_id: str) -> Any:
        return self._get_default_ytcfg(client)

    def _extract_formats_and_subtitles(
        self, video_id: str, player_responses: list[dict[str, Any]], *args: Any, **kwargs: Any
    ) -> Any:
        """Add what an extractor gives that knows SABR, where yt-dlp has a downloader for it."""
        if "sabr" in PROTOCOL_MAP:
            for response in player_responses:
                address = response["streamingData"].get("serverAbrStreamingUrl")
                if address:
                    yield {**SABR, "url": address}
        yield from super()._extract_formats_and_subtitles(
            video_id, player_responses, *args, **kwargs
        )

    def _extract_player_response(
        self, client: str, video_id: str, *args: Any, **kwargs: Any
    ) -> Any:
        return self._download_json(f"{os.environ[SERVER]}/watch/{video_id}", video_id)
