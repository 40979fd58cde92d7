"""The summary of a features job on the screen: counts, failures, speed, what to do next."""

import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from rich.table import Table

from pipelines.jobs.features.job import FeaturesJob
from pipelines.jobs.features.pace import DECODE, Pace
from pipelines.runners.screen import failures_table, print_shortfall, shown
from pipelines.store import files
from pipelines.store.receipts import Receipt, StoreState
from schemas import Reason
from schemas.machine.clock import utc_stamp
from schemas.messages import listed, printable
from schemas.settings import screen

_MODELS = (
    ("han", {"vggish", "resnet152", "r2plus1d"}),
    ("two_stream", {"segments", "proposals"}),
    ("fayek_audio", {"logmel"}),
    ("fayek_visual", {"resnet152"}),
)
"""Models to try on a store, and the extractors that they need; the first that fits is named."""
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
    folder, lines = shown(job.out), ["Next:"]
    if not files.is_local(job.out):
        lines = [f"Next, where models are trained, with {job.out} copied to the folder tables:"]
        folder = "tables"
    out = shlex.quote(folder)
    python, beam = (_program(name) for name in ("python", "beam"))
    lines.append(f"  {beam} validate {out}")
    for model, needs in _MODELS:
        if needs <= set(job.recipe.extractors):
            lines.append(f"  {python} models/train.py {model} --features {out}")
            break
    rows = f"pq.read_table({folder + '/clips'!r}).slice(0, 3).to_pylist()"
    show = f"import pyarrow.parquet as pq; print({rows})"
    lines.append(f"  {python} -c " + (f'"{show}"' if out == folder else shlex.quote(show)))
    return "\n".join(lines)


def _program(name: str) -> str:
    """Return a program of this environment, with its path when the environment lies here."""
    folder = Path(sys.executable).parent
    here = Path.cwd()
    return str(folder.relative_to(here) / name) if folder.is_relative_to(here) else name
