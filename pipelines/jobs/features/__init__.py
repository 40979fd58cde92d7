"""beam run features."""
