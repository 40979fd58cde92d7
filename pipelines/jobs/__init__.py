"""One package per job: options, work, graph, summary. Importing it must not import Beam."""
