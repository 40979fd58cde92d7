"""beam run pack."""
