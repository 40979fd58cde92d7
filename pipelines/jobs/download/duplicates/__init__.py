"""Clips that look and sound nearly alike: their hashes, and the pairs that are near."""
