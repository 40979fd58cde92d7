"""Feature stores in the forms that other programs read, and back: `.npy`, WebDataset, the hub."""
