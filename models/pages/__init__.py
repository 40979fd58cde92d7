"""Pages about runs: one of a run, several side by side, and a clip that a run has looked at."""
