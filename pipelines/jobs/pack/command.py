"""`beam run pack`: its options."""

from dataclasses import dataclass
from typing import Annotated

from pipelines.jobs.options import RunnerOptions
from schemas.settings.bounds import AtLeast


@dataclass(frozen=True, kw_only=True)
class Options(RunnerOptions):
    """Join the many small parts of a feature store into few shards, for training on it.

    Example: beam run pack --out out/audioset
    or with four processes: beam run pack --out out/audioset
    --direct_running_mode multi_processing --direct_num_workers 4
    Readers find a whole store at any moment. Afterwards beam run features goes on with new clips as
    before, and the next pack joins theirs. Options that are not listed here go to Beam.
    """

    out: str
    """Folder or URI of the store."""
    shard_mb: Annotated[float, AtLeast(1)] = 256.0
    """Size of a shard of the largest table, in MB; the other tables' shards hold the same clips."""
    keep_parts: bool = False
    """Leave the small files until the next job, for a training that is reading them now."""


def run(options: Options, rest: list[str]) -> int:
    """Check the store, pack it, print what there was and what there is."""
    from pipelines.jobs.pack.launch import launch  # with Beam

    return launch(options, rest)
