"""Shards in, numbers out: models of the papers, their training and their scores."""
