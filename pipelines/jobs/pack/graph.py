"""`beam run pack`: many small parts to a few large shards.

    receipts -> shards -> Reshuffle (names only) -> PackShard -> FinishPack

Rows go from file to file inside one step; only the names of parts travel between steps.
"""

import apache_beam as beam

from pipelines.jobs.pack.steps import FinishPack, PackShard, PlanShards


def build(pipeline: beam.Pipeline, out: str, most: int, keep_parts: bool) -> beam.PCollection[int]:
    """The graph; yields the number of shards once the manifest leads to them."""
    return (
        pipeline
        | "start" >> beam.Create([b"start"], reshuffle=False)
        | "plan shards" >> beam.ParDo(PlanShards(out, most)).with_output_types(bytes)
        | "spread" >> beam.Reshuffle()
        | "pack" >> beam.ParDo(PackShard(out)).with_output_types(bytes)
        | "count shards" >> beam.combiners.Count.Globally()
        | "finish" >> beam.ParDo(FinishPack(out, keep_parts)).with_output_types(int)
    )
