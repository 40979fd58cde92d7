"""One file per job: its graph and its launch."""
