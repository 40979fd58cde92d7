"""`beam run download`: the Beam graph that fills a media store.

    read manifest -> units -> drop finished clips -> Reshuffle (ids only) -> FetchUnit -> Finish

One step fetches, cuts, verifies and stores a clip; no media ever travels between steps.
"""

from collections.abc import Iterator

import apache_beam as beam

from pipelines.jobs.download.finish import finish
from pipelines.jobs.download.job import DownloadJob
from pipelines.jobs.download.worker import UnitFetcher
from pipelines.runners.steps import PlanUnits, count_unit
from pipelines.store.units import Unit


class FetchUnit(beam.DoFn):
    """Fetch and commit one unit; every worker process has its own fetching processes."""

    def __init__(self, job: DownloadJob) -> None:
        self._job = job
        self._worker: UnitFetcher | None = None

    def setup(self) -> None:
        """Refuse a worker of another version."""
        self._job.launcher.check()

    def process(self, unit: bytes) -> Iterator[bytes]:
        """Yield the name of the unit once its receipt is written."""
        if self._worker is None:
            self._worker = UnitFetcher(self._job)
        yield count_unit(self._worker.do(Unit.decode(unit)))

    def teardown(self) -> None:
        """End the fetching processes."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


class FinishDownload(beam.DoFn):
    """Write manifest and coverage once, after every unit."""

    def __init__(self, job: DownloadJob) -> None:
        self._job = job

    def process(self, n_units: int) -> Iterator[bytes]:
        """Write the manifest and yield the subset id."""
        yield finish(self._job)["subset_id"].encode()


def build(pipeline: beam.Pipeline, job: DownloadJob) -> beam.PCollection[bytes]:
    """Build the graph; it yields the subset id once the manifest is written."""
    return (
        pipeline
        | "start" >> beam.Create([b"start"], reshuffle=False)
        | "plan units" >> beam.ParDo(PlanUnits(job)).with_output_types(bytes)
        | "spread" >> beam.Reshuffle()
        | "fetch" >> beam.ParDo(FetchUnit(job)).with_output_types(bytes)
        | "count units" >> beam.combiners.Count.Globally()
        | "finish" >> beam.ParDo(FinishDownload(job)).with_output_types(bytes)
    )
