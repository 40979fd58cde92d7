"""`beam validate OUT`: read every shard back and check it against schema, manifest and itself."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tyro

from pipelines.commands.stored_frames import find_image_problems
from schemas import (
    FEATURES,
    SNIPPETS,
    JobError,
    Recipe,
    StoreManifest,
    TableName,
    UsageError,
    read_parquet,
    read_store_manifest,
    table_schema,
    tensor_shape,
    tensor_values,
)
from schemas.features import BOX_EDGES, IMAGE_TABLES
from schemas.labels import PSEUDO_LABELS, find_label_problem
from schemas.manifest import subset_id
from schemas.messages import printable
from schemas.settings import screen

if TYPE_CHECKING:  # with Beam
    from pipelines.store.unit_store import UnitStore

_KEYS: dict[TableName, list[str]] = {
    "clips": ["clip_key"],
    "failures": ["clip_key"],
    **{feature.table: ["clip_key", *feature.key] for feature in FEATURES.values()},
    PSEUDO_LABELS: ["clip_key", "snippet_index", "modality", "label"],
}
"""What must not occur twice in a table."""
_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Options:
    """Read every shard of a store back; exit 1 and a list when anything is off.

    Checked are: every file against the sha256 that was taken when it was written, columns and
    types, keys that repeat, clips without rows or failure or with both, snippet rows against
    n_snippets, nulls against has_audio and has_video, numbers that are not finite, boxes outside
    the frame, images of another size or cut off, counts and subset id. Works on feature stores and
    on media folders.
    """

    out: Annotated[str, tyro.conf.Positional]
    """The folder with manifest.json, or the path of that file."""


def run(options: Options, rest: list[str]) -> int:
    """Print what is off; 0 when nothing is."""
    from pipelines.jobs.download.validate import find_media_problems  # all of these with Beam
    from pipelines.store import files
    from pipelines.store.audit import count_unchecked, find_file_problems, read_receipts
    from pipelines.store.media_store import MediaStore

    out = files.absolute(options.out)
    if not files.is_local(out):
        raise UsageError(
            f"beam validate reads a local folder; copy {out} to a folder (gcloud storage cp -r "
            "does it for gs://), then give that one"
        )
    manifest = read_store_manifest(Path(out), media=True)
    store = _store_of(manifest)
    of_kind = find_media_problems if isinstance(store, MediaStore) else find_problems
    receipts, problems = read_receipts(store)
    problems += [*find_file_problems(store, manifest, receipts), *of_kind(manifest)]
    lines = [f"- {printable(problem)}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"... and {len(problems) - _SHOWN} more")
    if unchecked := count_unchecked(manifest, receipts):
        lines.append(
            f"note: {unchecked:,} files are of version 1, which took no sha256 of them; they are "
            "checked as far as their content allows"
        )
    verdict = f"{len(problems)} problems" if problems else "clean"
    subset = printable(manifest.subset_id, 40)
    lines.append(f"{options.out}: {verdict}; {_counts(manifest)}, subset {subset}")
    console = screen.results()
    for line in lines:
        console.print(line, soft_wrap=True)
    return 1 if problems else 0


def _counts(manifest: StoreManifest) -> str:
    counts = {"clips_in": 0, "clips_done": 0, "clips_failed": 0, **manifest.data.get("counts", {})}
    return (
        f"{counts['clips_in']:,} clips in, {counts['clips_done']:,} done, "
        f"{counts['clips_failed']:,} failed"
    )


def _store_of(manifest: StoreManifest) -> "UnitStore":
    """Return the store behind a manifest; receipts of another recipe than its own are refused."""
    from pipelines.store.feature_store import FeatureStore
    from pipelines.store.media_store import MediaStore

    root = str(manifest.root)
    if manifest.data.get("kind") == "media":
        return MediaStore(root)
    return FeatureStore(root, Recipe.from_json(manifest.data["recipe"]))


def find_problems(manifest: StoreManifest) -> Iterator[str]:
    """Yield every fault of a store's tables, as sentences."""
    lacking = {"dataset", "recipe", "tables", "counts", "subset_id", "vocabulary", "provenance"}
    lacking -= manifest.data.keys()
    if lacking:
        yield f"manifest.json lacks {', '.join(sorted(lacking))}"
        return
    try:
        recipe = Recipe.from_json(manifest.data["recipe"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        yield f"manifest.json has a recipe that cannot be read ({error})"
        return
    senses = {feature.column: feature.presence for feature in recipe.snippet_features()}
    tables: dict[TableName, pa.Table] = {}
    for name in _KEYS:
        schema = table_schema(name, recipe)
        keys = [pa.field(column, schema.field(column).type) for column in _KEYS[name]]
        parts = []
        for path in manifest.paths(name):
            part = _read(path, schema)
            if isinstance(part, str):
                yield part
                continue
            yield from _check_part(name, path, part)
            if name == PSEUDO_LABELS:
                problem = find_label_problem(part, manifest.vocabulary)
                yield from () if problem is None else (f"{path}: {problem}",)
            parts.append(_with_nulls(name, part, senses).select(_kept(name, senses)))
        tables[name] = pa.concat_tables(parts) if parts else _empty(schema, name, senses)
        yield from _repeats(name, tables[name], [key.name for key in keys])
    yield from _check_fates(manifest, tables)
    yield from _check_counts(manifest, tables)
    yield from _check_senses(recipe, tables)
    yield from _check_frames(recipe, tables)
    yield from _check_grid(tables)
    yield from _check_label_seconds(tables)


def _kept(name: TableName, senses: Collection[str]) -> list[str]:
    """Columns that are compared across tables; features are checked part by part."""
    if name == "clips":
        return ["clip_key", "n_snippets", "has_audio", "has_video"]
    if name == SNIPPETS:
        return [*_KEYS[name], *senses]
    return _KEYS[name]


def _empty(schema: pa.Schema, name: TableName, senses: Collection[str]) -> pa.Table:
    empty = schema.empty_table()
    return _with_nulls(name, empty, senses).select(_kept(name, senses))


def _with_nulls(name: TableName, part: pa.Table, senses: Collection[str]) -> pa.Table:
    """Snippets with presence in place of values: a clip's sense is there when a row is not null."""
    if name == SNIPPETS:
        for feature in senses:
            place = part.column_names.index(feature)
            part = part.set_column(place, feature, part[feature].is_valid())
    return part


def _read(path: Path, schema: pa.Schema) -> pa.Table | str:
    """One part, or the sentence that says what is wrong with it."""
    try:
        table = read_parquet(path)
    except FileNotFoundError:
        return f"{path}: named by manifest.json, but not there"
    except OSError as error:
        return f"{path}: cannot be read ({error})"
    for field in schema:
        if field.name not in table.column_names:
            return f"{path}: column {field.name} is missing"
        kind = table.schema.field(field.name).type
        if kind != field.type:
            return f"{path}: column {field.name} is {kind}, should be {field.type}"
    return table


def _check_part(name: TableName, path: Path, table: pa.Table) -> Iterator[str]:
    for field in table.schema:
        try:
            shape = tensor_shape(field)
            if shape is None:
                continue
            values, _ = tensor_values(table[field.name].combine_chunks(), shape)
        except ValueError as error:
            yield f"{path}: {field.name}: {error}"
        else:
            if not np.isfinite(values).all():
                yield f"{path}: {field.name} holds numbers that are not finite"
    if name in IMAGE_TABLES:
        yield from find_image_problems(path, table)
    if name == "proposals":
        x0, y0, x1, y1 = (table[side].to_numpy() for side in BOX_EDGES)
        inside = (x0 >= 0) & (x0 < x1) & (x1 <= 1) & (y0 >= 0) & (y0 < y1) & (y1 <= 1)
        if not inside.all():
            yield f"{path}: {int((~inside).sum())} boxes are empty or leave the frame"


def _repeats(name: TableName, table: pa.Table, keys: list[str]) -> Iterator[str]:
    counted = table.group_by(keys).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1))
    for row in twice.slice(0, 3).to_pylist():
        yield f"{name}: {', '.join(str(row[key]) for key in keys)} occurs {row['count_all']} times"


def _check_fates(manifest: StoreManifest, tables: dict[TableName, pa.Table]) -> Iterator[str]:
    from pipelines.store.feature_store import FeatureStore

    done = set(tables["clips"]["clip_key"].to_pylist())
    failed = set(tables["failures"]["clip_key"].to_pylist())
    for key in sorted(done & failed)[:3]:
        yield f"{key} has rows and a failure"
    counts: dict[str, Any] = manifest.data["counts"]
    for count, held in (("clips_done", len(done)), ("clips_failed", len(failed))):
        if counts[count] != held:
            yield f"manifest.json says {count} {counts[count]}, the tables hold {held}"
    if counts["clips_in"] != counts["clips_done"] + counts["clips_failed"]:
        yield (
            f"manifest.json: clips_in {counts['clips_in']} is not clips_done "
            f"{counts['clips_done']} + clips_failed {counts['clips_failed']}"
        )
    try:
        identity = FeatureStore(str(manifest.root)).identity()
    except JobError as error:
        yield str(error)
    else:
        recipe = Recipe.from_json(manifest.data["recipe"])
        if identity and (identity.dataset, identity.recipe) != (manifest.dataset, recipe):
            yield "store.json is of another data set or recipe than manifest.json"
    for name in tables.keys() - {"clips", "failures"}:
        strangers = set(pc.unique(tables[name]["clip_key"]).to_pylist()) - done
        for key in sorted(strangers)[:3]:
            yield f"{name} has rows of {key}, which is not among the clips"


def _check_counts(manifest: StoreManifest, tables: dict[TableName, pa.Table]) -> Iterator[str]:
    keys = tables["clips"]["clip_key"].to_pylist()
    if manifest.subset_id != subset_id(keys):
        yield f"manifest.json says subset {manifest.subset_id}, the clips make {subset_id(keys)}"
    for name, said in manifest.data["counts"].get("rows", {}).items():
        if name in tables and tables[name].num_rows != said:
            yield f"manifest.json says {said} rows of {name}, there are {tables[name].num_rows}"


def _check_senses(recipe: Recipe, tables: dict[TableName, pa.Table]) -> Iterator[str]:
    """Features of `snippets` that ran, against what the clips are said to have."""
    clips = {row["clip_key"]: row for row in tables["clips"].to_pylist()}
    for feature in recipe.snippet_features():
        if feature.extractor not in recipe.extractors:
            continue
        present = tables[SNIPPETS].filter(tables[SNIPPETS][feature.column])["clip_key"]
        held = set(pc.unique(present).to_pylist())
        for key, clip in clips.items():
            said = clip[feature.presence]
            if said != (key in held):
                yield f"{key}: {feature.presence} is {said}, {feature.column} says otherwise"


def _check_frames(recipe: Recipe, tables: dict[TableName, pa.Table]) -> Iterator[str]:
    """Compare stored frames with what the clips are said to have."""
    if not recipe.stores_frames:
        return
    held = set(pc.unique(tables["frames"]["clip_key"]).to_pylist())
    for clip in tables["clips"].to_pylist():
        if clip["has_video"] != (clip["clip_key"] in held):
            yield f"{clip['clip_key']}: has_video is {clip['has_video']}, frames says otherwise"


def _check_grid(tables: dict[TableName, pa.Table]) -> Iterator[str]:
    counted = tables["snippets"].group_by("clip_key").aggregate([("snippet_index", "count")])
    rows = dict(
        zip(
            counted["clip_key"].to_pylist(),
            counted["snippet_index_count"].to_pylist(),
            strict=True,
        )
    )
    for clip in tables["clips"].to_pylist():
        key, expected = clip["clip_key"], clip["n_snippets"]
        if rows.get(key, 0) != expected:
            yield f"{key} has {rows.get(key, 0)} snippet rows, n_snippets is {expected}"
        if not clip["has_audio"] and not clip["has_video"]:
            yield f"{key} has neither sound nor picture, yet it has rows"


def _check_label_seconds(tables: dict[TableName, pa.Table]) -> Iterator[str]:
    """Compare the seconds of pseudo labels with those that their clips have."""
    clips = tables["clips"]
    seconds = dict(zip(clips["clip_key"].to_pylist(), clips["n_snippets"].to_pylist(), strict=True))
    labels = tables[PSEUDO_LABELS].select(["clip_key", "snippet_index"])
    strange = {
        (row["clip_key"], row["snippet_index"])
        for row in labels.group_by(["clip_key", "snippet_index"]).aggregate([]).to_pylist()
        if not 0 <= row["snippet_index"] < seconds.get(row["clip_key"], 0)
    }
    for key, second in sorted(strange)[:3]:
        yield f"{PSEUDO_LABELS} has second {second} of {key}, which has {seconds.get(key, 0)}"
