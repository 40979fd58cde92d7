"""yt-dlp's YouTube extractor with the network taken out: player responses come from a test server.

Only the two requests that would go to YouTube are replaced. What the site says (playability status,
formats) goes through the extractor's own code, so its errors and formats are the real ones.
"""

import os

from yt_dlp.extractor.youtube import YoutubeIE

SERVER = "EARSIGHT_TEST_SITE"


class LocalSiteIE(YoutubeIE, plugin_name="earsight_test"):
    def _get_requested_clients(self, *args, **kwargs):
        return ["android_vr"]

    def _download_initial_webpage(self, *args, **kwargs):
        return ""

    def _download_initial_data(self, *args, **kwargs):
        return {}

    def _download_ytcfg(self, client, video_id):
        return self._get_default_ytcfg(client)

    def _extract_player_response(self, client, video_id, *args, **kwargs):
        return self._download_json(f"{os.environ[SERVER]}/watch/{video_id}", video_id)
