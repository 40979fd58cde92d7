"""Nets behind the extractors: structure, weights, precision."""
