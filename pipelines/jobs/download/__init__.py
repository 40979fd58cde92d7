"""beam run download."""
