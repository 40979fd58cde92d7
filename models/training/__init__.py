"""The loop, the run folder, what it reports."""
