"""Where things of this checkout are, for tests and benchmarks."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "tests" / "golden"
BENCHMARKS = ROOT / "docs" / "benchmarks"
