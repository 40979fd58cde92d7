"""Plain functions on media files: probe, decode, find, judge. No Beam."""
