"""`beam run download`: clips of a data set into a media store.

    read manifest -> units -> drop what is done -> Reshuffle (ids only) -> FetchUnit -> Finish

A clip is asked for, cut, checked and stored inside one step; no media ever travels between steps.
"""

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.jobs.download.job import DownloadJob
from pipelines.jobs.download.steps import FetchUnit, FinishDownload, PlanDownload


def build(pipeline: beam.Pipeline, job: DownloadJob) -> beam.PCollection[bytes]:
    """The graph; yields the subset id once the manifest is written."""
    return (
        pipeline
        | "start" >> beam.Create([b"start"], reshuffle=False)
        | "plan units" >> beam.ParDo(PlanDownload(job)).with_output_types(bytes)
        | "spread" >> beam.Reshuffle()
        | "fetch" >> beam.ParDo(FetchUnit(job)).with_output_types(bytes)
        | "count units" >> beam.combiners.Count.Globally()
        | "finish" >> beam.ParDo(FinishDownload(job)).with_output_types(bytes)
    )


def run(job: DownloadJob, beam_args: list[str]) -> None:
    """Run the job to its end on the runner that `beam_args` names."""
    options = PipelineOptions(beam_args, save_main_session=False)
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline, job)
