"""Per-second training labels: scored from stored CLIP and CLAP features, or brought in."""
