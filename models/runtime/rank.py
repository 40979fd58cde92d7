"""Which of several processes that train together this one is; torch is not needed to know."""

import os


def rank() -> int:
    """Return the number that torchrun gave this process, from 0; 0 when it is alone."""
    return int(os.environ.get("RANK", "0"))
