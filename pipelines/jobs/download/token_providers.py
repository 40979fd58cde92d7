"""Which providers of proof-of-origin tokens yt-dlp has, and whether they answer.

Providers are plugins of yt-dlp, and asking one may start a program or wait for a server; so a
process of its own looks, and is given up after a while.
"""

import json
from typing import Any

from pipelines.media.child_process import (
    ChildDiedError,
    ChildProcess,
    ChildTimeoutError,
    answer_requests,
)

_MOST_MEMORY = 2 * 2**30
_ANSWER_S = 30.0


def find_providers() -> dict[str, str]:
    """Return each provider by its name, and what it says: empty where it is ready to answer."""
    child = ChildProcess("pipelines.jobs.download.token_providers")
    try:
        found: dict[str, str] = json.loads(child.ask(b"", _ANSWER_S))
    except (ChildDiedError, ChildTimeoutError) as error:
        return {"yt-dlp's plugins": str(error)}
    finally:
        child.close()
    return found


def _look() -> dict[str, str]:
    import yt_dlp
    from yt_dlp.extractor.youtube.pot._registry import _pot_providers

    with yt_dlp.YoutubeDL({"quiet": True, "no_warnings": True, "logger": _Silence()}) as ydl:
        extractor = ydl.get_info_extractor("Youtube")
        return {
            str(kind.PROVIDER_NAME): _state(kind, extractor)
            for kind in _pot_providers.value.values()
        }


def _state(kind: Any, extractor: Any) -> str:
    try:
        provider = kind(extractor, _Silence(), {})
        return "" if provider.is_available() else "it is installed and does not answer"
    except Exception as error:  # noqa: BLE001 a plugin may raise anything
        return f"{type(error).__name__}: {error}"[:200]


class _Silence:
    """A logger for yt-dlp and its plugins that keeps nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_more: None


if __name__ == "__main__":
    answer_requests(lambda _: json.dumps(_look()).encode(), _MOST_MEMORY)
