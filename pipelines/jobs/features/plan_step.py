"""From the job to its units: the manifest is read inside the pipeline, what is done drops out."""

from collections.abc import Iterator

import apache_beam as beam

from pipelines.jobs.features.job import FeaturesJob
from pipelines.store.units import into_units, open_tasks, repeated_videos


class PlanUnits(beam.DoFn):
    """One start element to the encoded units that are left to do."""

    def __init__(self, job: FeaturesJob) -> None:
        self._job = job

    def setup(self) -> None:
        """Refuse a worker of another version before anything is planned."""
        self._job.launcher.check()

    def process(self, start: bytes) -> Iterator[bytes]:
        """Units of clips, as bytes."""
        job = self._job
        state = job.store().state()
        tasks = open_tasks(
            job.clips(),
            job.media_index(),
            state.done,
            state.failed,
            job.retry,
            repeated_videos(job.clips()),
        )
        for unit in into_units(tasks, job.unit_size):
            yield unit.encode()
