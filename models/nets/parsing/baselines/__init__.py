"""Baselines that the authors of HAN compared it with."""
