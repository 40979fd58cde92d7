"""A source of one class out of a mixture: components, masks, waveforms, and how well it works."""
