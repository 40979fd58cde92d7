"""What travels between the parts of earsight: records, checks, tables. No torch, no Beam."""

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
    "table_schema",
    "tensor_array",
    "tensor_shape",
    "tensor_values",
]
