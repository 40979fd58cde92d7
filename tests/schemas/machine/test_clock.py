"""Moments are written in UTC, to the second."""

import pytest

from schemas.machine.clock import utc_stamp


def test_stamps_are_utc_in_whole_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert utc_stamp(1_764_213_600.9) == "2025-11-27T03:20:00+00:00"
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.5)
    assert utc_stamp() == "2001-09-09T01:46:40+00:00"
