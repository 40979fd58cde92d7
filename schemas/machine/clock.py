"""Moments as text, the same in every table, receipt and message."""

import time
from datetime import UTC, datetime


def utc_stamp(moment: float | None = None) -> str:
    """Return a moment in seconds since 1970 (default: now) as ISO 8601 in UTC, whole seconds.

    >>> utc_stamp(0.0)
    '1970-01-01T00:00:00+00:00'
    """
    seconds = time.time() if moment is None else moment
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
