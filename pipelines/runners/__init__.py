"""How a job gets to an engine."""
