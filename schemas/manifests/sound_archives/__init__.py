"""Archives of recordings with a table of folds: the ESC sets and UrbanSound8K, as they come."""
