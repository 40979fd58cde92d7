"""One module a family of hostile inputs; each exposes `FAMILIES`."""
