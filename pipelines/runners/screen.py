"""What the summaries of all jobs show alike."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from pipelines.store import files
from schemas import Failure


def failures_table(failed: Iterable[Failure]) -> Table:
    """Failures by reason, with an example each."""
    table = Table("reason", "clips", "tried again", "for example", title_justify="left")
    by_reason = defaultdict(list)
    for failure in failed:
        by_reason[failure.reason].append(failure)
    for reason, failures in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        again = "by the next run" if reason.retryable else f"with --retry {reason}"
        example = f"{failures[0].clip_key}: {failures[0].detail}"
        table.add_row(str(reason), f"{len(failures):,}", again, escape(example[:100]))
    return table


def shown(path: str) -> str:
    """A path as one would type it from here."""
    here = Path.cwd()
    local = files.is_local(path) and Path(path).is_relative_to(here)
    return str(Path(path).relative_to(here)) if local else path
