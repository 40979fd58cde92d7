"""The steps of a download: plan units, fetch a unit, finish."""

from collections.abc import Iterator

import apache_beam as beam

from pipelines.jobs.download.finish import finish
from pipelines.jobs.download.job import DownloadJob
from pipelines.jobs.download.worker import UnitFetcher
from pipelines.store.units import Unit


class PlanDownload(beam.DoFn):
    """One start element to the encoded units that are left to do."""

    def __init__(self, job: DownloadJob) -> None:
        self._job = job

    def setup(self) -> None:
        """Refuse a worker of another version before anything is planned."""
        self._job.launcher.check()

    def process(self, start: bytes) -> Iterator[bytes]:
        """Units of clips, as bytes."""
        for unit in self._job.units():
            yield unit.encode()


class FetchUnit(beam.DoFn):
    """Fetch and commit one unit; every worker process has fetching processes of its own."""

    def __init__(self, job: DownloadJob) -> None:
        self._job = job
        self._worker: UnitFetcher | None = None

    def setup(self) -> None:
        """Refuse a worker of another version."""
        self._job.launcher.check()

    def process(self, unit: bytes) -> Iterator[bytes]:
        """The name of the unit, once its receipt stands."""
        if self._worker is None:
            self._worker = UnitFetcher(self._job)
        try:
            receipt = self._worker.do(Unit.decode(unit))
        except Exception:
            self.teardown()  # which Beam leaves out when a step fails
            raise
        for reason in (failure.reason for failure in receipt.failed):
            beam.metrics.Metrics.counter("failed", reason).inc()
        beam.metrics.Metrics.counter("clips", "done").inc(len(receipt.done))
        yield receipt.unit.encode()

    def teardown(self) -> None:
        """End the fetching processes."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


class FinishDownload(beam.DoFn):
    """Runs once, after every unit: receipts to manifest and coverage."""

    def __init__(self, job: DownloadJob) -> None:
        self._job = job

    def process(self, n_units: int) -> Iterator[bytes]:
        """Write the manifest; yields the subset id."""
        yield finish(self._job)["subset_id"].encode()
