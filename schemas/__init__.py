"""What travels between the parts of earsight: records, checks, tables. No torch, no Beam.

Names are imported when they are first asked for: help and complaints need no Arrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.clip import Clip
    from schemas.events import Event, second_grid
    from schemas.failure import Failure, JobError, KnownError, Reason, UsageError
    from schemas.features import FEATURES, SNIPPETS, Feature
    from schemas.labels import Vocabulary
    from schemas.manifest import StoreManifest, read_store_manifest
    from schemas.media import SAMPLE_RATE, ClipMedia, Components, FeatureRows, Frames, Proposals
    from schemas.recipe import RECIPES, Recipe
    from schemas.tables import (
        SCHEMA_VERSION,
        TABLES,
        TableName,
        read_parquet,
        stored_values,
        table_schema,
        tensor_array,
        tensor_shape,
        tensor_values,
    )

__all__ = [
    "FEATURES",
    "RECIPES",
    "SAMPLE_RATE",
    "SCHEMA_VERSION",
    "SNIPPETS",
    "TABLES",
    "Clip",
    "ClipMedia",
    "Components",
    "Event",
    "Failure",
    "Feature",
    "FeatureRows",
    "Frames",
    "JobError",
    "KnownError",
    "Proposals",
    "Reason",
    "Recipe",
    "StoreManifest",
    "TableName",
    "UsageError",
    "Vocabulary",
    "read_parquet",
    "read_store_manifest",
    "second_grid",
    "stored_values",
    "table_schema",
    "tensor_array",
    "tensor_shape",
    "tensor_values",
]

_HOMES = {
    "clip": ("Clip",),
    "events": (
        "Event",
        "second_grid",
    ),
    "failure": (
        "Failure",
        "JobError",
        "KnownError",
        "Reason",
        "UsageError",
    ),
    "features": (
        "FEATURES",
        "SNIPPETS",
        "Feature",
    ),
    "labels": ("Vocabulary",),
    "manifest": (
        "StoreManifest",
        "read_store_manifest",
    ),
    "media": (
        "SAMPLE_RATE",
        "ClipMedia",
        "Components",
        "FeatureRows",
        "Frames",
        "Proposals",
    ),
    "recipe": (
        "RECIPES",
        "Recipe",
    ),
    "tables": (
        "SCHEMA_VERSION",
        "TABLES",
        "TableName",
        "read_parquet",
        "stored_values",
        "table_schema",
        "tensor_array",
        "tensor_shape",
        "tensor_values",
    ),
}
"""Names by the module that defines them."""


def __getattr__(name: str) -> Any:
    """Import a name of `__all__` from its module."""
    for home, names in _HOMES.items():
        if name in names:
            globals()[name] = value = getattr(import_module(f"schemas.{home}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
