"""The summary of a features job on the screen: counts, failures, speed, what to do next."""

import shlex
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from rich.table import Table

from pipelines.jobs.features.job import FeaturesJob
from pipelines.jobs.features.pace import DECODE, Pace
from pipelines.runners.screen import failures_table, print_shortfall, shown
from pipelines.store import files
from pipelines.store.receipts import Receipt, StoreState
from schemas import Reason, read_parquet, read_store_manifest
from schemas.machine.clock import utc_stamp
from schemas.machine.programs import command, has_trainer
from schemas.messages import listed, printable
from schemas.settings import screen

_MODELS = (
    ("han", {"vggish", "resnet152", "r2plus1d"}, True),
    ("two_stream", {"segments", "proposals"}, False),
    ("fayek_audio", {"logmel"}, False),
    ("fayek_visual", {"resnet152"}, False),
)
"""Models to try, the extractors that they need, whether they need dense truth; the first fits."""
_MOST_OTHER_FILES = 5
"""Names of files that are not taken for media."""


def print_summary(job: FeaturesJob, before: StoreState, wall_s: float, max_failed: float) -> int:
    """Print the tables of a finished run; return 1 when it fell short, of clips with media."""
    console = screen.results()
    after = job.store().state()
    old = {receipt.unit for receipt in before.receipts}
    new = [receipt for receipt in after.receipts if receipt.unit not in old]
    console.print(_counts(job, after, new, wall_s))
    if after.failed:
        console.print(failures_table(after.failed.values()))
    others = job.other_files()
    if others:
        console.print(_other_files(others))
    if any(receipt.done for receipt in new):
        pace = Pace.of(new, f"the last job on this machine took ({utc_stamp()})")
        pace.record()
        console.print(_stages(pace))
    if not new:
        console.print("Nothing was left to do.")
    tried = [failure for failure in after.failed.values() if failure.reason is not Reason.NOT_FOUND]
    if print_shortfall(console, len(after.done), tried, max_failed):
        return 1
    console.print(_next(job), soft_wrap=True)
    return 0


def _counts(job: FeaturesJob, after: StoreState, new: list[Receipt], wall_s: float) -> Table:
    table = Table(title=f"{job.dataset}: features", show_header=False, title_justify="left")
    manifest = files.join(shown(job.out), "manifest.json")
    rows: dict[str, int] = defaultdict(int)
    for receipt in after.receipts:
        for name, count in receipt.rows.items():
            rows[name] += count
    table.add_row("tables", manifest)
    table.add_row("recipe", f"{job.recipe.name} {job.recipe.hash}, weights {job.recipe.weights}")
    table.add_row("precision", f"{job.recipe.precision} on {job.runtime.device}")
    table.add_row("clips in", f"{len(after.done) + len(after.failed):,}")
    table.add_row("clips done", f"{len(after.done):,} ({_done(new):,} in this run)")
    table.add_row("clips failed", f"{len(after.failed):,}")
    table.add_row("rows", ", ".join(f"{name} {rows[name]:,}" for name in sorted(rows)))
    table.add_row("size", f"{sum(receipt.size for receipt in after.receipts) / 1e6:,.1f} MB")
    table.add_row("time", f"{wall_s:,.1f} s")
    return table


def _other_files(others: list[str]) -> str:
    """Return a sentence on the files in the media folder that are not taken for media."""
    names = listed(map(printable, others), _MOST_OTHER_FILES)
    count = "1 file is" if len(others) == 1 else f"{len(others):,} files are"
    return f"{count} not taken for media, by the ending: {names}"


def _stages(pace: Pace) -> Table:
    """Tabulate seconds per clip by stage, of the clips done in this run; several work at once."""
    head = "work in seconds per clip, the first clips of each process apart"
    table = Table("stage", head, title_justify="left")
    for stage, spent in sorted(pace.seconds.items(), key=lambda item: -item[1]):
        if stage != DECODE:
            table.add_row(stage, f"{spent:.3f}")
    table.add_row("all", f"{pace.work():.3f}")
    table.add_row("decode, beside the others", f"{pace.seconds.get(DECODE, 0.0):.3f}")
    return table


def _done(receipts: Iterable[Receipt]) -> int:
    return sum(len(receipt.done) for receipt in receipts)


def _next(job: FeaturesJob) -> str:
    """Return commands for this store: they work as they are printed."""
    folder, lines = shown(job.out), ["Next:"]
    if not files.is_local(job.out):
        lines = [f"Next, where models are trained, with {job.out} copied to the folder tables:"]
        folder = "tables"
    lines.append(f"  {command('beam', 'validate', folder)}")
    lines.append(f"  {command('beam', 'report', folder)}")
    model = model_for(job)
    if model is not None:
        lines.append(f"  {command('models/train.py', model, '--features', folder)}")
    rows = f"pq.read_table({folder + '/clips'!r}).slice(0, 3).to_pylist()"
    show = f"import pyarrow.parquet as pq; print({rows})"
    python = command("python", "-c")
    plain = not set('"$`\\!') & set(show)
    lines.append(f"  {python} " + (f'"{show}"' if plain else shlex.quote(show)))
    return "\n".join(lines)


def model_for(job: FeaturesJob) -> str | None:
    """Return a model that trains on the store as it is, None where there is none.

    It takes extractors that ran, training clips of two classes, and dense truth for parsing.
    """
    truth = True
    if files.is_local(job.out):
        manifest = read_store_manifest(Path(job.out))
        truth = any(read_parquet(path).num_rows for path in manifest.paths("events"))
        rows = [
            row
            for path in manifest.paths("clips")
            for row in read_parquet(path, columns=["split", "labels"]).to_pylist()
        ]
        trained = {label for row in rows if row["split"] == "train" for label in row["labels"]}
        if len(trained) < 2 or not has_trainer():
            return None
    fit = (
        model for model, needs, dense in _MODELS
        if needs <= set(job.recipe.extractors) and (truth or not dense)
    )  # fmt: skip
    return next(fit, None)
