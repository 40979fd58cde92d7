"""Where an object may be: sources of boxes of a frame, and which of them are kept."""
