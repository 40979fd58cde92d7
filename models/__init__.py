"""Shards in, numbers out: models of the papers, their training and their scores."""

import os

# As in `extractors`, before PyTorch is imported: next to other work a thread that spins while it
# waits keeps the core that the others need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
