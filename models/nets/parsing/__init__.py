"""Networks that say when."""
