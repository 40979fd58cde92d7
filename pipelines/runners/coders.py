"""Coders that Beam lacks by default."""

from apache_beam.coders import TimestampCoder, registry
from apache_beam.utils.timestamp import Timestamp


def register_coders() -> None:
    """Register them with Beam.

    Reshuffle sends an element's timestamp along, which Beam would pickle.
    """
    registry.register_coder(Timestamp, TimestampCoder)
