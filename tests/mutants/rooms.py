"""The rooms whose tests are tried, and which tests cover each module."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.places import ROOT

Tests = tuple[str, ...]


@dataclass(frozen=True)
class Room:
    """Modules that are changed, and the tests that should notice."""

    source: str
    """File or folder under the root."""
    tests: Tests
    """Tests of a module that has none named after it and is not in `covers`."""
    covers: Mapping[str, Tests]
    """Path of a module or folder under `source`, without its ending, to its test files."""

    def modules(self) -> list[Path]:
        """Return the files that hold code."""
        path = ROOT / self.source
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        return [path for path in found if path.name != "__init__.py"]

    def tests_of(self, module: Path) -> Sequence[str]:
        """Return the covering tests, those named after the module first."""
        mirrored = ROOT / "tests" / module.relative_to(ROOT).parent
        own = [
            str(path.relative_to(ROOT)) for path in sorted(mirrored.glob(f"test_{module.stem}.py"))
        ]
        name = str(module.relative_to(ROOT / self.source)).removesuffix(".py")
        named = self.covers.get(name) or self.covers.get(name.partition("/")[0], ())
        return list(dict.fromkeys([*own, *named])) or list(self.tests)


UNIT_STORE = "tests/pipelines/store/test_unit_store.py"
VALIDATE = "tests/pipelines/commands/test_validate.py"
RECORDS = "tests/schemas/test_records.py"
FEATURES = "tests/schemas/test_features.py"
DECODE = "tests/pipelines/media/test_decode.py"

ROOMS = {
    "schemas": Room(
        "schemas",
        (RECORDS, FEATURES, "tests/schemas/test_manifest.py"),
        {
            "manifests": (
                "tests/schemas/manifests/test_input.py", "tests/schemas/manifests/test_lines.py",
                "tests/schemas/manifests/test_splits.py", "tests/schemas/manifests/test_sources.py",
            ),
            "media_names": ("tests/pipelines/media/test_media_index.py",),
            "published": ("tests/schemas/manifests/test_sources.py",),
            "settings/bounds": ("tests/schemas/settings/test_command_line.py",),
            "settings/completion": ("tests/schemas/settings/test_help.py",),
        },
    ),
    "pipelines/store": Room(
        "pipelines/store",
        (UNIT_STORE, VALIDATE),
        {
            "feature_store": (UNIT_STORE,),
            "files": (UNIT_STORE,),
            "media_store": (UNIT_STORE,),
            "receipts": (UNIT_STORE,),
        },
    ),
    "pipelines/media": Room(
        "pipelines/media",
        (DECODE, "tests/pipelines/media/test_reader.py"),
        {
            "decode": ("tests/pipelines/media/test_decode_parts.py",),
            "reader_process": ("tests/pipelines/media/test_reader.py",),
        },
    ),
    "models/metrics.py": Room("models/metrics.py", ("tests/models/test_metrics.py",), {}),
    "models/tasks": Room(
        "models/tasks",
        ("tests/models/tasks",),
        {
            "intervals": ("tests/models/tasks/test_bootstrap_intervals.py",),
            "psds": ("tests/models/tasks/test_event_scores.py",),
            "tagging": (
                "tests/models/tasks/test_thresholds.py", "tests/models/tasks/test_sound_events.py",
                "tests/models/tasks/test_calibration.py",
            ),
        },
    ),
}  # fmt: skip
