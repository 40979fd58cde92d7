"""`beam run features` as a Beam graph: clips to feature tables.

    read manifest -> units -> drop what is done -> Reshuffle (ids only) -> ExtractUnit -> Finish

Everything between the shuffle and the receipt happens inside one step, clip by clip; no frame and
no waveform ever travels between steps.
"""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared

from pipelines.jobs.features.finish import finish
from pipelines.jobs.features.job import FeaturesJob
from pipelines.jobs.features.worker import UnitWorker, load_extractors
from pipelines.runners.steps import PlanUnits, count_unit
from pipelines.store.units import Unit


def build(pipeline: beam.Pipeline, job: FeaturesJob) -> beam.PCollection[bytes]:
    """Add the job's steps; the result holds the subset id once the manifest is written."""
    extract = beam.ParDo(ExtractUnit(job)).with_output_types(bytes)
    if job.accelerator:
        extract = extract.with_resource_hints(accelerator=job.accelerator)
    return (
        pipeline
        | "start" >> beam.Create([b"start"], reshuffle=False)
        | "plan units" >> beam.ParDo(PlanUnits(job)).with_output_types(bytes)
        | "spread" >> beam.Reshuffle()
        | "extract" >> extract
        | "count units" >> beam.combiners.Count.Globally()
        | "finish" >> beam.ParDo(Finish(job)).with_output_types(bytes)
    )


class _Loaded(dict[str, Any]):
    """A dict that `Shared` can hold by a weak reference."""


class ExtractUnit(beam.DoFn):
    """Decode, extract and commit one unit; threads of a process share one set of nets."""

    def __init__(self, job: FeaturesJob) -> None:
        self._job = job
        self._shared = Shared()

    def setup(self) -> None:
        """Make the worker; the nets wait until the first unit needs them."""
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
        """Yield the name of the unit, once its receipt stands."""
        yield count_unit(self._worker.do(Unit.decode(unit)))


class Finish(beam.DoFn):
    """Write the manifest; runs once, after every unit."""

    def __init__(self, job: FeaturesJob) -> None:
        self._job = job

    def process(self, n_units: int) -> Iterator[bytes]:
        """Yield the subset id once the manifest is written."""
        yield finish(self._job)["subset_id"].encode()
