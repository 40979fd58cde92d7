"""The one step that works: a unit in, its committed receipt out."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared

from pipelines.jobs.features.job import FeaturesJob
from pipelines.jobs.features.worker import UnitWorker, load_extractors
from pipelines.store.units import Unit


class _Loaded(dict[str, Any]):
    """A dict that `Shared` can hold by a weak reference."""


class ExtractUnit(beam.DoFn):
    """Decode, extract and commit one unit; threads of a process share one set of nets."""

    def __init__(self, job: FeaturesJob) -> None:
        self._job = job
        self._shared = Shared()

    def setup(self) -> None:
        """Make the worker; the nets wait until the first clip needs them."""
        job = self._job
        job.launcher.check()

        def load() -> _Loaded:
            return self._shared.acquire(
                lambda: _Loaded(load_extractors(job.recipe, job.runtime)), tag=job.recipe.hash
            )

        self._worker = UnitWorker(job.store(), job.recipe, job.runtime, load)

    def teardown(self) -> None:
        """End the processes that read media."""
        self._worker.close()

    def process(self, unit: bytes) -> Iterator[bytes]:
        """The name of the unit, once its receipt stands."""
        receipt = self._worker.do(Unit.decode(unit))
        for reason in (failure.reason for failure in receipt.failed):
            beam.metrics.Metrics.counter("failed", reason).inc()
        beam.metrics.Metrics.counter("clips", "done").inc(len(receipt.done))
        yield receipt.unit.encode()
