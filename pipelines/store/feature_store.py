"""The feature store OUT, of one data set and one recipe.

    OUT/store.json                   data set and recipe, written before anything else
    OUT/snippets/unit-<hash>.parquet one part per table and unit; likewise clips, segments, ...
    OUT/receipts/unit-<hash>.json    the commit of a unit
    OUT/snippets/pack-<n>-<hash>.parquet, OUT/receipts/pack-<n>-<hash>.json
                                     many units joined into one (`pipelines.jobs.pack`)
    OUT/manifest.json                written last; readers go by it

The receipt of a pack names the units that it replaces: once it is written, their receipts no longer
count.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.store import files
from pipelines.store.parquet import parquet_bytes
from pipelines.store.receipts import StoreState
from pipelines.store.unit_store import UnitStore
from schemas import SCHEMA_VERSION, TABLES, Clip, JobError, Recipe, UsageError


class FeatureStore(UnitStore):
    """One folder of features, of one data set and one recipe."""

    tables = TABLES

    def open(self, dataset: str, recipe: Recipe) -> None:
        """Make the store, or check that it is of this data set and recipe (else `UsageError`)."""
        identity = self.identity()
        if files.exists(files.join(self.out, "media.json")):
            raise UsageError(f"{self.out} holds media; give another --out for the features")
        if identity is None:
            data = {
                "schema_version": SCHEMA_VERSION, "dataset": dataset, "recipe": recipe.to_json()
            }  # fmt: skip
            files.write(files.join(self.out, "store.json"), json.dumps(data, indent=1).encode())
            return
        if identity["dataset"] != dataset:
            raise UsageError(
                f"{self.out} holds features of data set {identity['dataset']!r}, this job makes "
                f"{dataset!r}; give another --out"
            )
        stored = Recipe.from_json(identity["recipe"])
        if stored != recipe:
            changes = [
                f"{name} {value!r} (now {getattr(recipe, name)!r})"
                for name, value in asdict(stored).items()
                if value != getattr(recipe, name)
            ]
            raise UsageError(
                f"{self.out} holds features of recipe {stored.name} {stored.hash} with "
                f"{', '.join(changes)}; shards of two recipes never mix: ask for the stored "
                "settings or give another --out"
            )

    def identity(self) -> dict[str, Any] | None:
        """Return what `store.json` says, None where there is no store yet."""
        path = files.join(self.out, "store.json")
        if not files.exists(path):
            return None
        try:
            data: dict[str, Any] = json.loads(files.read(path))
        except ValueError as error:
            raise JobError(f"{path} is not readable JSON ({error}); give another --out") from None
        return data

    def update_labels(self, state: StoreState, clips: Mapping[str, Clip]) -> None:
        """Bring split and labels of the stored clips up to the data set's, where they changed."""
        for part in (receipt.parts["clips"] for receipt in state.receipts if receipt.done):
            path = files.join(self.out, *part.split("/"))
            table = pq.read_table(io.BytesIO(files.read(path)))
            rows = table.select(["clip_key", "split", "labels"]).to_pylist()
            wanted = [
                (clip.split, list(clip.labels)) if clip else (row["split"], row["labels"])
                for row in rows
                for clip in [clips.get(row["clip_key"])]
            ]
            if wanted == [(row["split"], row["labels"]) for row in rows]:
                continue
            for name, values in zip(("split", "labels"), zip(*wanted, strict=True), strict=True):
                field = table.schema.field(name)
                column = pa.array(values, field.type)
                table = table.set_column(table.schema.get_field_index(name), field, column)
            files.write(path, parquet_bytes(table))
