"""A feature store as batches of tensors."""
