"""Settings and options: which values they take, and how a command line reads them."""
