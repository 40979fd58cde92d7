"""One file per job: its graph and its launch."""

from apache_beam.coders import TimestampCoder, registry
from apache_beam.utils.timestamp import Timestamp

# Reshuffle sends an element's time along; without this line Beam pickles it
registry.register_coder(Timestamp, TimestampCoder)
