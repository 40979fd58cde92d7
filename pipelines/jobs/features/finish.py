"""The end of a features job: check that no clip vanished, then write `manifest.json`."""

import importlib.metadata
import platform
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from pipelines.jobs.features.job import FeaturesJob
from pipelines.store.coverage import Coverage, read_reasons, write_coverage
from pipelines.store.parquet import failures_table
from pipelines.store.receipts import Receipt, StoreState, merge_provenance
from schemas import Clip, Event, Reason, TableName, table_schema
from schemas.labels import PSEUDO_LABELS
from schemas.manifest import subset_id
from schemas.messages import printable

_TOOLS = (
    "earsight", "apache-beam", "torch", "torchvision", "tensorflow-hub", "librosa", "numpy",
    "opencv-contrib-python-headless", "av", "pillow", "pyarrow",
)  # fmt: skip


def finish(job: FeaturesJob) -> dict[str, Any]:
    """Write `manifest.json` from the receipts; RuntimeError when a clip has no outcome."""
    store = job.store()
    state = store.state()
    known = state.done | state.failed.keys()
    clips = {clip.key: clip for clip in job.clips()}
    lost = [key for key in clips if key not in known]
    if lost:
        raise RuntimeError(f"{len(lost)} clips have neither rows nor a failure: {lost[:5]}")
    state = store.update_labels(state, clips)
    extra: dict[TableName, pa.Table] = {
        "failures": failures_table(state.failed.values()),
        "events": _events_table(job.events()),
    }
    facts: dict[str, Any] = {
        "dataset": job.dataset,
        "recipe": job.recipe.to_json(),
        "vocabulary": list(job.vocabulary().names),
        "counts": {
            "clips_in": len(known),
            "clips_done": len(state.done),
            "clips_failed": len(state.failed),
            "rows": _count_rows(state.receipts),
            "failed_by_reason": _count_reasons(state),
        },
        "provenance": {
            **_versions(),
            **merge_provenance(state.receipts),
            "command": job.command,
        },
    }
    kept = store.pseudo_labels(state.done)
    if kept is not None:
        extra[PSEUDO_LABELS], facts[PSEUDO_LABELS] = kept
    _write_coverage(job, clips.values(), state)
    return store.write_manifest(state, extra, facts)


def _write_coverage(job: FeaturesJob, clips: Iterable[Clip], state: StoreState) -> None:
    """Count clips by split and class; one without media takes the reason of its download."""
    reasons = {key: str(failure.reason) for key, failure in state.failed.items()}
    for key, reason in read_reasons(job.media).items():
        if reasons.get(key) == Reason.NOT_FOUND:
            reasons[key] = reason
    coverage = Coverage.of(job.dataset, clips, state.done, reasons, subset_id(state.done))
    coverage.other_files = [printable(name) for name in job.other_files()]
    write_coverage(job.out, coverage)


def _events_table(events: Iterable[Event]) -> pa.Table:
    rows = [asdict(event) for event in events]
    return pa.Table.from_pylist(rows, schema=table_schema("events"))


def _count_rows(receipts: Iterable[Receipt]) -> dict[str, int]:
    rows: dict[str, int] = defaultdict(int)
    for receipt in receipts:
        for table, count in receipt.rows.items():
            rows[table] += count
    return dict(rows)


def _count_reasons(state: StoreState) -> dict[str, int]:
    reasons: dict[str, int] = defaultdict(int)
    for failure in state.failed.values():
        reasons[str(failure.reason)] += 1
    return dict(reasons)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": sys.platform}
    for tool in _TOOLS:
        try:
            versions[tool] = importlib.metadata.version(tool)
        except importlib.metadata.PackageNotFoundError:
            versions[tool] = "not installed"
    return versions
