"""Processes, device, signals, command line, console, files, figures: nothing here knows a model."""
