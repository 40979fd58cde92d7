"""What every net promises: settings, batch, outputs, card."""
