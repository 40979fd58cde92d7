"""Steps that the jobs on units of clips share."""

from collections.abc import Iterator
from typing import Protocol

import apache_beam as beam

from pipelines.runners.versions import Versions
from pipelines.store.receipts import Receipt
from pipelines.store.units import Unit


class UnitJob(Protocol):
    """A job whose work is cut into units of clips."""

    @property
    def launcher(self) -> Versions:
        """Versions that the job was made with."""
        ...

    def units(self) -> Iterator[Unit]:
        """Yield the units that are left to do."""
        ...


class PlanUnits(beam.DoFn):
    """Turn the one start element into the encoded units that are left to do."""

    def __init__(self, job: UnitJob) -> None:
        self._job = job

    def setup(self) -> None:
        """Refuse a worker of another version before anything is planned."""
        self._job.launcher.check()

    def process(self, start: bytes) -> Iterator[bytes]:
        """Yield units of clips, as bytes."""
        for unit in self._job.units():
            yield unit.encode()


def count_unit(receipt: Receipt) -> bytes:
    """Count the clips of a committed unit, done and failed by reason; return the unit's name."""
    for failure in receipt.failed:
        beam.metrics.Metrics.counter("failed", failure.reason).inc()
    beam.metrics.Metrics.counter("clips", "done").inc(len(receipt.done))
    return receipt.unit.encode()
