"""Videos that a server keeps as fragments: only those that cover a clip are fetched."""
