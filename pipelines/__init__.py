"""The jobs: network, disk, Beam and the command line."""
