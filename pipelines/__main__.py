"""`python -m pipelines` is `beam`."""

from pipelines.cli import main

raise SystemExit(main())
