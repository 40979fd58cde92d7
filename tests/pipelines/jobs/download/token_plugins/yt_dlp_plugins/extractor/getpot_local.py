"""A provider of proof-of-origin tokens that answers, or does not, as the environment says."""

import os

from yt_dlp.extractor.youtube.pot.provider import (
    PoTokenProvider,
    PoTokenRequest,
    PoTokenResponse,
    register_provider,
)
from yt_dlp.networking import Request


@register_provider
class LocalPTP(PoTokenProvider):
    """Looked for by `beam check`."""

    PROVIDER_NAME = "local:test"
    PROVIDER_VERSION = "1.0"
    BUG_REPORT_LOCATION = "nowhere"
    _SUPPORTED_CONTEXTS = None
    _SUPPORTED_CLIENTS = None
    _SUPPORTED_EXTERNAL_REQUEST_FEATURES = None

    def is_available(self) -> bool:
        if os.environ["EARSIGHT_TEST_TOKENS"] == "broken":
            raise RuntimeError("no way")
        return os.environ["EARSIGHT_TEST_TOKENS"] == "ready"

    def _real_request_pot(self, request: PoTokenRequest) -> PoTokenResponse:
        response = self._request_webpage(Request(f"{os.environ['EARSIGHT_TEST_SITE']}/token"))
        return PoTokenResponse(po_token=response.read().decode())
