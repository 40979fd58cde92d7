"""The summary of a download on the screen: counts, failures, speed, identities."""

from rich.table import Table

from pipelines.jobs.download.command import YOUTUBE
from pipelines.jobs.download.job import DownloadJob
from pipelines.jobs.download.rate_limit import RateLimiter
from pipelines.runners.screen import failures_table, print_shortfall, shown
from pipelines.store import files
from pipelines.store.media_store import MediaState
from schemas import Reason
from schemas.machine.programs import command
from schemas.secrets import redact_address
from schemas.settings import screen


def print_summary(job: DownloadJob, before: MediaState, wall_s: float, max_failed: float) -> int:
    """Print the tables of a finished run; return 1 when it fell short."""
    console = screen.results()
    after = job.media_state()
    tried = sum((after.attempts - before.attempts).values())
    console.print(_counts(job, before, after, tried, wall_s))
    if after.failed:
        console.print(failures_table(after.failed.values()))
    if job.source_kind != "files":
        console.print(_identities(job))
    if not tried:
        console.print("Nothing was left to do.")
    tried_failures = [
        failure
        for failure in after.failed.values()
        if job.source_kind != "files" or failure.reason is not Reason.NOT_FOUND
    ]
    if print_shortfall(console, len(after.done), tried_failures, max_failed):
        return 1
    if job.features is not None:  # features follow by themselves
        return 0
    words = ["run", "features", "--dataset", job.dataset, "--media", shown(job.media)]
    if job.annotations is not None:
        words += ["--annotations", shown(job.annotations)]
    console.print(f"Next: {command('beam', *words)}", soft_wrap=True)
    return 0


def _counts(
    job: DownloadJob, before: MediaState, after: MediaState, tried: int, wall_s: float
) -> Table:
    table = Table(title=f"{job.dataset}: download", show_header=False, title_justify="left")
    here = len(after.done - before.done)
    table.add_row("media", shown(job.media))
    table.add_row("source", redact_address(job.source))
    table.add_row("clips in", f"{len(after.done) + len(after.failed):,}")
    table.add_row("clips here", f"{len(after.done):,} ({here:,} in this run)")
    table.add_row("clips failed", f"{len(after.failed):,}")
    table.add_row("coverage", files.join(shown(job.media), "coverage.md"))
    pace = f", {here / wall_s:.1f} clips per second" if here and wall_s else ""
    table.add_row("time", f"{wall_s:,.1f} s{pace} ({tried:,} clips tried)")
    return table


def _identities(job: DownloadJob) -> Table:
    limiter = RateLimiter(job.identities, job.rate_policy)
    unit = "videos" if job.source == YOUTUBE else "files"
    table = Table(
        "identity", f"{unit} per hour", f"{unit} requested", "breaker", title_justify="left"
    )
    for identity in job.identities:
        state = limiter.state(identity)
        table.add_row(
            identity.name,
            f"{identity.per_hour:g}" if identity.per_hour else "no budget",
            f"{state.asked:,}",
            f"opened {state.opened} times" if state.opened else "never opened",
        )
    return table
