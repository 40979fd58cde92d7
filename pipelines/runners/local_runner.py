"""Beam's in-process runner, with worker processes that leave Ctrl-C to the job."""

from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

_LEFT_TO_THE_JOB = b"trap '' INT HUP; exec "


class LocalRunner(FnApiRunner):
    """FnApiRunner whose workers of `multi_processing` ignore what a terminal sends to all.

    Beam starts them through a shell, which lets signals through that wait in the job; a worker
    would answer Ctrl-C with a traceback before the job (`pipelines.store.interrupts`) ends it.
    """

    def run_via_runner_api(self, pipeline_proto: Any, options: PipelineOptions) -> Any:
        """Run a pipeline; see Beam."""
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.payload = _LEFT_TO_THE_JOB + environment.payload
        return super().run_via_runner_api(pipeline_proto, options)
