"""The lists of fragments that yt-dlp makes of DASH manifests, as renditions."""

import itertools
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

from pipelines.jobs.download.fetch.fragments.rendition import (
    MOST_FRAGMENTS,
    Fragment,
    Rendition,
    Resource,
    check_lengths,
)
from schemas import KnownError, Reason


def listed_rendition(chosen: Mapping[str, Any]) -> Rendition:
    """Return the fragments of a format of yt-dlp; what has no length begins those after it.

    Raises `KnownError`: `format` where nobody says how long fragments last, `corrupt` for
    impossible ones.
    """
    base = chosen.get("fragment_base_url") or ""
    fragments: list[Fragment] = []
    start_s, run, init = 0.0, 0, None
    for listed in itertools.islice(chosen.get("fragments") or (), MOST_FRAGMENTS + 2):
        place = Resource(listed.get("url") or urljoin(base, listed.get("path") or ""))
        length_s = listed.get("duration")
        if length_s is None:
            init, run = place, run + bool(fragments)
            continue
        fragments.append(Fragment(place, start_s, float(length_s), run, init))
        start_s += float(length_s)
    if not fragments:
        raise KnownError(Reason.FORMAT, "the site does not say how long its fragments last")
    check_lengths([fragment.length_s for fragment in fragments])
    return Rendition(tuple(fragments))
