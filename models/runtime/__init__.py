"""Process, device, arithmetic, command line: nothing here knows a model."""
