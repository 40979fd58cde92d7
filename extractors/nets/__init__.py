"""Nets behind the extractors: structure, weights, arithmetic."""
