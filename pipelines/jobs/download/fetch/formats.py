"""Which of a site's formats are fetched: files at plain addresses, or fragments."""

from collections.abc import Mapping
from typing import Any

from pipelines.jobs.download.fetch.guard import GuardedYoutubeDL

_DIRECT = "[protocol~='^https?$']"
_FRAGMENTS = "[protocol~='^(m3u8|m3u8_native|http_dash_segments)$']"
_SABR = "[protocol=sabr]"
_LEAST_LENGTH = 3
"""A video that is so many times as long as the clip is fetched by fragments where it has them."""
Format = dict[str, Any]


def format_choice(height: int, *, sabr: bool = False) -> str:
    """Return yt-dlp's choice of formats: files first, H.264 before others, the best audio.

    With `sabr`, formats that come by SABR are taken where there are no others.
    """
    kinds = (_DIRECT, _FRAGMENTS, _SABR) if sabr else (_DIRECT, _FRAGMENTS)
    return "/".join(_choice(height, kind) for kind in kinds)


def _choice(height: int, protocol: str) -> str:
    cap = f"[height<={height}]" if height else ""
    return "/".join(
        (
            f"bv{cap}[vcodec^=avc1]{protocol}+ba{protocol}",
            f"b{cap}[vcodec^=avc1]{protocol}",
            f"bv{cap}{protocol}+ba{protocol}",
            f"b{cap}{protocol}",
            f"wv*{protocol}+ba{protocol}",
            f"w{protocol}",
            f"ba{protocol}",
            f"bv{cap}{protocol}",
        )
    )


def chosen_formats(info: Mapping[str, Any]) -> list[Format]:
    """Return the formats that yt-dlp chose: one with everything, or video and audio."""
    return list(info.get("requested_formats") or [info])


def fragment_formats(
    ydl: GuardedYoutubeDL, info: Mapping[str, Any], length_s: float, height: int
) -> list[Format]:
    """Return the formats to fetch by fragments, none where files are better.

    Fragments are better for a video that is three times as long as the clip, and where there are
    no files.
    """
    chosen = chosen_formats(info)
    if all(is_fragmented(one) for one in chosen):
        return chosen
    if not is_much_longer(length_s, info.get("duration")):
        return []
    formats = info.get("formats") or []
    choose = ydl.build_format_selector(_choice(height, _FRAGMENTS))
    tracks = [{one.get("acodec"), one.get("vcodec")} for one in formats]
    found = list(
        choose({
            "formats": formats,
            "has_merged_format": any("none" not in codecs for codecs in tracks),
            "incomplete_formats": False,
        })
    )  # fmt: skip
    wanted = chosen_formats(found[-1]) if found else []
    return wanted if _has_both(wanted) and _is_under(wanted, height) else []


def is_fragmented(chosen: Format) -> bool:
    """Tell whether a format comes as fragments."""
    return chosen.get("protocol") in ("m3u8", "m3u8_native", "http_dash_segments")


def is_by_sabr(chosen: Format) -> bool:
    """Tell whether a format comes by SABR, YouTube's own protocol."""
    return chosen.get("protocol") == "sabr"


def is_much_longer(length_s: float, duration_s: float | None) -> bool:
    """Tell whether a video is at least three times as long as the clip."""
    return duration_s is not None and duration_s >= _LEAST_LENGTH * length_s


def _has_both(formats: list[Format]) -> bool:
    return all(any(one.get(codec) != "none" for one in formats) for codec in ("vcodec", "acodec"))


def _is_under(formats: list[Format], height: int) -> bool:
    return not height or any((one.get("height") or height + 1) <= height for one in formats)
