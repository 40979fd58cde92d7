"""A store that is too large for memory: its clips are read part by part."""
