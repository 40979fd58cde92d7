"""Run a graph to its end; what an engine or a worker says becomes one sentence."""

from collections.abc import Callable

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipelines.runners.beam_options import LOCAL_RUNNER
from pipelines.runners.coders import register_coders
from pipelines.runners.engines import engine_trouble
from pipelines.runners.local_runner import LocalRunner
from schemas import JobError, UsageError


def run_pipeline(build: Callable[[beam.Pipeline], object], arguments: list[str]) -> None:
    """Run the graph that `build` adds to a pipeline, on the runner that `arguments` name.

    Raises `UsageError` or `JobError` where a worker raised one, and `JobError` for an engine that
    gave the job up.
    """
    register_coders()
    options = PipelineOptions(arguments, save_main_session=False)
    local = options.view_as(StandardOptions).runner == LOCAL_RUNNER
    try:
        with beam.Pipeline(LocalRunner() if local else None, options) as pipeline:
            build(pipeline)
    except Exception as error:
        known = _known_error(error)
        if known is None:
            raise
        raise known from error


def _known_error(error: BaseException) -> UsageError | JobError | None:
    """Return what a worker or an engine put into words; None for a bug."""
    cause: BaseException | None = error
    while cause is not None:
        for kind in (UsageError, JobError):
            if isinstance(cause, kind):
                return kind(_first_sentence(str(cause)))
            marker = f"{kind.__module__}.{kind.__name__}: "
            if marker in str(cause):
                return kind(_first_sentence(str(cause).split(marker, 1)[1]))
        cause = cause.__cause__ or cause.__context__
    trouble = engine_trouble(error)
    return JobError(trouble) if trouble is not None else None


def _first_sentence(text: str) -> str:
    """Drop what Beam adds: ` [while running 'extract']` and a traceback."""
    return text.split("\n", 1)[0].split(" [while running", 1)[0]
