"""What the summaries of all jobs show alike: failures by reason, and whether the job fell short."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.store import files
from schemas import Failure, Reason
from schemas.messages import ERROR_PREFIX, printable


def failures_table(failed: Iterable[Failure]) -> Table:
    """Count failures by reason, with an example each."""
    table = Table("reason", "clips", "tried again", "for example", title_justify="left")
    by_reason = defaultdict(list)
    for failure in failed:
        by_reason[failure.reason].append(failure)
    for reason, failures in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        again = "by the next run" if reason.retryable else f"with --retry {reason}"
        lines = failures[0].detail.strip().splitlines() or [""]
        detail = lines[-1] if reason is Reason.INTERNAL else lines[0]  # of a traceback the error
        example = printable(f"{failures[0].clip_key}: {detail}", 100)
        table.add_row(str(reason), f"{len(failures):,}", again, example)
    return table


def print_shortfall(
    console: Console, done: int, failed: Collection[Failure], max_failed: float
) -> int:
    """Say why a job fell short and return 1, or return 0; `done` and `failed` are of its clips."""
    bugs = sum(failure.reason is Reason.INTERNAL for failure in failed)
    share = len(failed) / max(1, len(failed) + done)
    reasons = []
    if not done:
        reasons.append("No clip was done.")
    if bugs:
        reasons.append(
            f"{bugs:,} clips met a bug of earsight (reason internal): the table failures holds the "
            "tracebacks; please report them. The next run tries these clips again."
        )
    if share > max_failed:
        reasons.append(f"{share:.0%} of the clips failed, more than --max-failed {max_failed:.0%}.")
    for reason in reasons:
        console.print(f"{ERROR_PREFIX}{reason}", style="red", soft_wrap=True)
    return 1 if reasons else 0


def shown(path: str) -> str:
    """Return a path as one would type it from here."""
    here = Path.cwd()
    local = files.is_local(path) and Path(path).is_relative_to(here)
    return str(Path(path).relative_to(here)) if local else path
