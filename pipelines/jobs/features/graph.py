"""`beam run features`: clips to feature tables.

    read manifest -> units -> drop what is done -> Reshuffle (ids only) -> ExtractUnit -> Finish

Everything between the shuffle and the receipt happens inside one step, clip by clip; no frame and
no sound ever travels between steps.
"""

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.jobs.features.extract_step import ExtractUnit
from pipelines.jobs.features.finish import Finish
from pipelines.jobs.features.job import FeaturesJob
from pipelines.jobs.features.plan_step import PlanUnits


def build(pipeline: beam.Pipeline, job: FeaturesJob) -> beam.PCollection[bytes]:
    """The graph; yields the subset id once the manifest is written."""
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


def run(job: FeaturesJob, beam_args: list[str]) -> None:
    """Run the job to its end on the runner that `beam_args` names."""
    options = PipelineOptions(beam_args, save_main_session=False)
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline, job)
