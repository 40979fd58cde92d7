"""Coders that Beam lacks by default: importing this module registers them."""

from apache_beam.coders import TimestampCoder, registry
from apache_beam.utils.timestamp import Timestamp

# Reshuffle sends an element's timestamp along; without this line Beam pickles it.
registry.register_coder(Timestamp, TimestampCoder)
