"""Settings searched on the validation split: `train.py NAME --sweep learning-rate=1e-5..1e-3`."""
