"""From outputs to decisions and scores: parsing and tagging."""
