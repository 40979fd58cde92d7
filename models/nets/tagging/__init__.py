"""Networks that say whether."""
