"""The rooms whose tests are tried, and which tests cover each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.places import ROOT


@dataclass(frozen=True)
class Room:
    """Modules that are changed, and the tests that should notice."""

    sources: tuple[str, ...]
    """Files and folders under the root."""
    tests: tuple[str, ...]
    """Test files and folders, the quickest first."""

    def modules(self) -> list[Path]:
        """Return the files that hold code."""
        found: list[Path] = []
        for source in self.sources:
            path = ROOT / source
            found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
        return [path for path in found if path.name != "__init__.py"]

    def tests_of(self, module: Path) -> Sequence[str]:
        """Return the covering tests, those named after the module first."""
        mirrored = ROOT / "tests" / module.relative_to(ROOT).parent
        own = sorted(mirrored.glob(f"test_{module.stem}*.py"))
        return [*(str(path.relative_to(ROOT)) for path in own), *self.tests]


ROOMS = {
    "schemas": Room(("schemas",), ("tests/schemas",)),
    "pipelines/store": Room(
        ("pipelines/store",),
        (
            "tests/pipelines/store",
            "tests/pipelines/commands/test_validate.py",
            "tests/pipelines/jobs/pack/test_pack.py",
            "tests/pipelines/jobs/features/test_worker.py",
        ),
    ),
    "pipelines/media": Room(
        ("pipelines/media",),
        ("tests/pipelines/media", "tests/pipelines/jobs/features/test_worker.py"),
    ),
    "models/metrics.py": Room(("models/metrics.py",), ("tests/models/test_metrics.py",)),
    "models/tasks": Room(
        ("models/tasks",),
        ("tests/models/tasks", "tests/models/training", "tests/models/nets/tagging/test_fayek.py"),
    ),
}
