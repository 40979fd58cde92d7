"""The feature store OUT, of one data set and one recipe.

    OUT/store.json                   data set and recipe, written before anything else
    OUT/snippets/unit-<hash>.parquet one part per table and unit; likewise clips, segments, ...
    OUT/receipts/unit-<hash>.json    the commit of a unit
    OUT/snippets/pack-<n>-<hash>.parquet, OUT/receipts/pack-<n>-<hash>.json
                                     many units joined into one (`pipelines.jobs.pack`)
    OUT/manifest.json                written last; readers go by it
    OUT/README.md                    the dataset card (`pipelines.store.dataset_card`)

The receipt of a pack names the units that it replaces: once it is written, their receipts no longer
count.
"""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.io.filesystem import BeamIOError

from pipelines.store import files
from pipelines.store.dataset_card import write_card
from pipelines.store.parquet import parquet_bytes
from pipelines.store.receipts import Receipt, StoreState
from pipelines.store.unit_store import UnitStore
from schemas import (
    SCHEMA_VERSION,
    TABLES,
    Clip,
    JobError,
    Recipe,
    TableName,
    UsageError,
    read_parquet,
    table_schema,
)
from schemas.checked_json import decode_record, encode_record
from schemas.labels import PSEUDO_LABELS
from schemas.manifest import check_schema_version, subset_id


@dataclass(frozen=True)
class StoreIdentity:
    """What a feature store holds."""

    dataset: str
    recipe: Recipe


class FeatureStore(UnitStore):
    """One folder of features, of one data set and one recipe."""

    tables = TABLES
    identity_name = "store.json"

    def __init__(self, out: str, recipe: Recipe | None = None) -> None:
        """Open the store at a path or URI; given a recipe, refuse receipts of another."""
        super().__init__(out, recipe.hash if recipe else "")

    def open(self, dataset: str, recipe: Recipe, *, verify: bool = False) -> None:
        """Make the store, or check that it is of this data set and recipe (else `UsageError`).

        Call it while the store is locked. Units with damaged parts are forgotten, so that their
        clips are done again; `verify` compares the sha256 of every part, not only its size.
        """
        if files.exists(files.join(self.out, "media.json")):
            raise UsageError(f"{self.out} holds media; give another --out for the features")
        identity = self.identity()
        if identity is None:
            content = {
                "schema_version": SCHEMA_VERSION, "dataset": dataset, "recipe": recipe.to_json()
            }  # fmt: skip
            files.write(files.join(self.out, self.identity_name), encode_record(content))
        else:
            self._check_identity(identity, dataset, recipe)
        self.recipe_hash = recipe.hash
        self.forget_damaged(verify=verify)

    def replace_manifest(
        self, manifest: Mapping[str, Any], state: StoreState, *, keep_parts: bool = False
    ) -> None:
        """Replace the manifest as any store does, and the dataset card with it."""
        super().replace_manifest(manifest, state, keep_parts=keep_parts)
        write_card(self.out, manifest)

    def read_rows(
        self, manifest: Mapping[str, Any], table: TableName, columns: Sequence[str]
    ) -> Iterator[pa.Table]:
        """Yield some columns of a table part by part; `JobError` for a damaged part."""
        for path in manifest["tables"].get(table, []):
            place = files.join(self.out, *path.split("/"))
            try:
                yield read_parquet(io.BytesIO(files.read(place)), columns)
            except (OSError, BeamIOError) as error:
                raise JobError(
                    f"{place} cannot be read ({str(error).splitlines()[0][:200]}); beam validate "
                    "lists what is damaged, and the features job with --verify makes it again"
                ) from error

    def pseudo_labels(self, done: Collection[str]) -> tuple[pa.Table, Any] | None:
        """Return the pseudo labels of clips that are done, and what made them; None for none.

        A features job writes the manifest anew, and puts them into it again.
        """
        manifest = self.read_manifest()
        if manifest is None or not manifest["tables"].get(PSEUDO_LABELS):
            return None
        schema = table_schema(PSEUDO_LABELS)
        rows = pa.concat_tables(self.read_rows(manifest, PSEUDO_LABELS, schema.names))
        there = pc.is_in(rows["clip_key"], value_set=pa.array(sorted(done), pa.string()))
        return rows.filter(there).cast(schema), manifest.get(PSEUDO_LABELS, {})

    def replace_pseudo_labels(self, rows: pa.Table, source: Mapping[str, Any]) -> None:
        """Put pseudo labels in place of the store's earlier ones; `source` says what made them.

        The store must be locked. The part is written first, then the manifest. `UsageError` where
        the last features job did not finish.
        """
        manifest, state = self.read_manifest(), self.state()
        if manifest is None or manifest["subset_id"] != subset_id(state.done):
            raise UsageError(
                f"the last job on {self.out} did not come to its end; run the same beam run "
                "features command again, then this one"
            )
        data = parquet_bytes(rows)
        digest = sha256(data).hexdigest()
        path = f"{PSEUDO_LABELS}/{PSEUDO_LABELS}-{digest[:16]}.parquet"
        files.write(files.join(self.out, *path.split("/")), data)
        earlier = set(manifest["tables"].get(PSEUDO_LABELS, []))
        checksums = manifest.get("sha256", {}).items()
        kept = {name: value for name, value in checksums if name not in earlier}
        changes = {
            "tables": {**manifest["tables"], PSEUDO_LABELS: [path]},
            "sha256": {**kept, path: digest},
            PSEUDO_LABELS: dict(source),
        }
        self.replace_manifest({**manifest, **changes}, state)

    def _check_identity(self, stored: StoreIdentity, dataset: str, recipe: Recipe) -> None:
        if stored.dataset != dataset:
            raise UsageError(
                f"{self.out} holds features of data set {stored.dataset!r}, this job makes "
                f"{dataset!r}; give another --out"
            )
        if stored.recipe != recipe:
            if stored.recipe.with_(extractors=recipe.extractors) == recipe:
                raise UsageError(self._other_extractors(stored.recipe, recipe))
            changes = [
                f"{name} {value!r} (now {getattr(recipe, name)!r})"
                for name, value in asdict(stored.recipe).items()
                if value != getattr(recipe, name)
            ]
            raise UsageError(
                f"{self.out} holds features of recipe {stored.recipe.name} {stored.recipe.hash} "
                f"with {', '.join(changes)}; shards of two recipes never mix: ask for the stored "
                "settings or give another --out"
            )

    def _other_extractors(self, stored: Recipe, recipe: Recipe) -> str:
        """Say how to come by extractors that the store was not begun with."""
        return (
            f"{self.out} was begun with the extractors {','.join(stored.extractors)} and keeps to "
            f"them; for {','.join(recipe.extractors)} run the same command with another --out, "
            f"which makes them all for the same clips, or remove {self.out} first"
        )

    def identity(self) -> StoreIdentity | None:
        """Read `store.json`; None where there is no store yet, `JobError` where it is damaged."""
        path = files.join(self.out, self.identity_name)
        if not files.exists(path):
            return None
        try:
            record = decode_record(files.read(path))
            check_schema_version(record)
            recipe = Recipe.from_json(record.get("recipe", dict))
            return StoreIdentity(record.get("dataset", str), recipe)
        except ValueError as error:
            raise JobError(
                f"{path} is not readable as a feature store's ({error}); give another --out"
            ) from None

    def update_labels(self, state: StoreState, clips: Mapping[str, Clip]) -> StoreState:
        """Bring split and labels of the stored clips up to the data set's, where they changed.

        A part that changes is written under a new name, then its receipt is replaced. Returns the
        state afterwards; the old parts stay until the manifest is replaced.
        """
        receipts = [
            self._update_labels_of(receipt, clips) if receipt.done else receipt
            for receipt in state.receipts
        ]
        return StoreState(tuple(receipts), state.replaced)

    def _update_labels_of(self, receipt: Receipt, clips: Mapping[str, Clip]) -> Receipt:
        table = self._read_clips(receipt)
        rows = table.select(["clip_key", "split", "labels"]).to_pylist()
        wanted = [
            (clip.split, list(clip.labels)) if clip else (row["split"], row["labels"])
            for row in rows
            for clip in [clips.get(row["clip_key"])]
        ]
        if wanted == [(row["split"], row["labels"]) for row in rows]:
            return receipt
        for name, values in zip(("split", "labels"), zip(*wanted, strict=True), strict=True):
            field = table.schema.field(name)
            column = pa.array(values, field.type)
            table = table.set_column(table.schema.get_field_index(name), field, column)
        data = parquet_bytes(table)
        digest = sha256(data).hexdigest()
        path = f"clips/{receipt.unit}-{digest[:16]}.parquet"
        files.write(files.join(self.out, *path.split("/")), data)
        changed = receipt.with_part("clips", path, len(data), digest)
        self.commit_receipt(changed)
        return changed

    def _read_clips(self, receipt: Receipt) -> pa.Table:
        """Read table `clips` of a unit; `JobError` unless it is what was written."""
        path = files.join(self.out, *receipt.parts["clips"].split("/"))
        try:
            data = files.read(path)
            if receipt.has_checksums and sha256(data).hexdigest() != receipt.sha256["clips"]:
                raise OSError("its content was changed since it was written")
            return read_parquet(io.BytesIO(data))
        except (OSError, BeamIOError) as error:
            raise JobError(
                f"{path} is damaged ({str(error).splitlines()[0][:200]}); run the same command "
                "again with --verify, which does the clips of damaged files anew"
            ) from error
