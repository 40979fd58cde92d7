"""Presets for Dataflow: what Beam and the service are asked for where the user says nothing.

A preset never asks for a GPU twice: either the extract step carries a resource hint, and only its
workers have one, or the user names the service option `worker_accelerator`, and every worker has.
Dataflow refuses to reconcile the two.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import google.auth
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner
from google.auth.exceptions import GoogleAuthError

from pipelines.runners.beam_options import (
    IN_PROCESS,
    LOCAL_RUNNER,
    beam_arguments,
    given_to_beam,
    runner_class,
)
from pipelines.store import files
from schemas import UsageError
from schemas.messages import unknown

DATAFLOW = "DataflowRunner"
_NEEDED = {
    "project": "--project",
    "region": "--region",
    "temp_location": "--temp_location gs://...",
    "sdk_container_image": "--sdk_container_image (what docker/worker.Dockerfile builds)",
}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One kind of worker."""

    options: Mapping[str, str]
    """Beam's options by name; one that the user gives stays the user's."""
    device: str = "cpu"
    """Where the nets run."""
    accelerator: str = ""
    """Resource hint of the extract step."""


_ANY_WORKER = {"sdk_location": "container", "number_of_worker_harness_threads": "1"}
PRESETS = {
    "dataflow-gpu": Preset(
        options={
            **_ANY_WORKER,
            "machine_type": "g2-standard-8",
            "disk_size_gb": "100",
            # one process holds the nets; it decodes in threads of its own
            "experiments": "no_use_multiple_sdk_containers",
        },
        device="cuda",
        accelerator="type:nvidia-l4;count:1;install-nvidia-driver",
    ),
    "dataflow-cpu": Preset(
        options={**_ANY_WORKER, "machine_type": "n2-standard-4", "disk_size_gb": "60"}
    ),
}


@dataclass(frozen=True)
class Destination:
    """Where a job goes, as far as its command must know."""

    arguments: list[str]
    """Arguments of Beam's `PipelineOptions`."""
    accelerator: str = ""
    """The GPU of the workers; empty for none."""
    hint: str = ""
    """The same as a resource hint of the extract step; empty where every worker has the GPU."""
    remote: bool = False
    """Whether the workers are other machines, which see nothing of this one."""
    elsewhere: bool = False
    """Whether an engine runs the job, which goes on without this process."""
    leaves: str = ""
    """The option for which the command does not stay until the job is done; empty: it stays."""


def find_preset(name: str | None, known: Collection[str] = tuple(PRESETS)) -> Preset | None:
    """Return a preset by name; `UsageError` for one that is unknown or of other jobs."""
    if name is None:
        return None
    if name not in known:
        raise UsageError(unknown("preset", name, known))
    return PRESETS[name]


def is_dataflow(runner: str) -> bool:
    """Tell whether a runner's name, in any spelling, means Dataflow."""
    return runner_class(runner) == DATAFLOW.lower()


def choose_destination(
    runner: str,
    rest: Sequence[str],
    preset_name: str | None = None,
    accelerator: str | None = None,
    presets: Collection[str] = tuple(PRESETS),
) -> Destination:
    """Return the runner and everything that Beam is told.

    `rest` is as for `beam_arguments`; `presets` are those that the job can take. Raises
    `UsageError` where options contradict each other and, for Dataflow, where something is missing
    that only shows after long retries.
    """
    preset = find_preset(preset_name, presets)
    if preset is not None:
        if not is_dataflow(runner) and runner != LOCAL_RUNNER:
            raise UsageError(f"a preset is for {DATAFLOW}, but --runner is {runner}; drop one")
        runner = DATAFLOW
    arguments, remote = beam_arguments(runner, rest), is_dataflow(runner)
    given = given_to_beam(rest)
    everywhere = _find_accelerator(given, accelerator)
    asked = everywhere or accelerator or ""
    if asked and not accelerator_kind(asked):
        raise UsageError(
            f"a GPU is asked for as type:<name>;count:<number>;install-nvidia-driver, not as "
            f"{asked!r}"
        )
    if preset is not None:
        _check_machine(preset, asked, given)
        accelerator = accelerator or preset.accelerator
        arguments += _fill_in(preset, given)
    if remote:
        arguments.append("--no_save_main_session")
        _check_dataflow(arguments)
    FileSystems.set_options(PipelineOptions(arguments))
    hint = "" if everywhere else accelerator or ""
    leaves = next((name for name in _leaving(runner, remote) if given.get(name)), "")
    elsewhere = runner_class(runner) not in IN_PROCESS
    return Destination(arguments, everywhere or hint, hint, remote, elsewhere, leaves)


def _leaving(runner: str, remote: bool) -> tuple[str, ...]:
    """Return options for which a command ends before its job; one process knows none of them."""
    if remote:
        return ("dry_run", "template_location", "no_wait_until_finish")
    return () if runner_class(runner) in IN_PROCESS else ("no_wait_until_finish",)


def _fill_in(preset: Preset, given: Mapping[str, Any]) -> list[str]:
    """Return arguments for what is left open; experiments add up unless they contradict."""
    filled = {name: value for name, value in preset.options.items() if name not in given}
    experiment = preset.options.get("experiments", "")
    if experiment and experiment.removeprefix("no_") not in given.get("experiments", ()):
        filled["experiments"] = experiment
    return [f"--{name}={value}" for name, value in filled.items()]


def _find_accelerator(given: Mapping[str, Any], accelerator: str | None) -> str:
    """Return the GPU that Beam's own options ask for, which every worker gets; empty for none."""
    asked = [f"--accelerator {accelerator}"] if accelerator else []
    everywhere = ""
    for option, name, start in (
        ("--resource_hint", "resource_hints", "accelerator="),
        ("--dataflow_service_options", "dataflow_service_options", "worker_accelerator="),
    ):
        for value in given.get(name, ()):
            if value.startswith(start):
                everywhere = value.removeprefix(start)
                asked.append(f"{option} {value}")
    if len(asked) > 1:
        raise UsageError(
            f"{' and '.join(asked)} each ask for a GPU; Dataflow takes a hint or "
            "worker_accelerator, so keep one of them"
        )
    return everywhere


def _check_machine(preset: Preset, accelerator: str, given: Mapping[str, Any]) -> None:
    """Refuse a GPU that the preset's machine cannot have; those of g2 have an L4 built in."""
    if accelerator and not preset.accelerator:
        raise UsageError("preset dataflow-cpu has no GPU; for one give --preset dataflow-gpu")
    asked, own = accelerator_kind(accelerator), accelerator_kind(preset.accelerator)
    if accelerator and asked != own and "machine_type" not in given:
        raise UsageError(
            f"{preset.options['machine_type']}, the preset's machine, has {own} and not {asked}; "
            "give the --machine_type that has it, such as n1-standard-8"
        )


def accelerator_kind(accelerator: str) -> str:
    """Return `nvidia-l4` of `type:nvidia-l4;count:1`; empty for text of another form."""
    return accelerator.partition("type:")[2].split(";")[0]


def _check_dataflow(arguments: list[str]) -> None:
    """Check what Beam would find out late, or by asking a network that does not answer."""
    given = given_to_beam(arguments)
    missing = [text for name, text in _NEEDED.items() if not given.get(name)]
    if missing:
        raise UsageError(f"{DATAFLOW} needs {', '.join(missing)}")
    options = PipelineOptions(arguments)
    validator = PipelineOptionsValidator(options, create_runner(DATAFLOW))
    cloud = options.view_as(GoogleCloudOptions)
    locations = [name for name in ("temp_location", "staging_location") if name in given]
    wrong = [error for name in locations for error in validator.validate_gcs_path(cloud, name)]
    if validator.is_service_runner():  # an endpoint of one's own passes
        wrong += validator.validate_cloud_options(cloud)
    if wrong:
        raise UsageError(f"Beam: {wrong[0]}")
    if "no_auth" not in given:  # a dry run too looks into its buckets
        _check_credentials()


def _check_credentials() -> None:
    try:
        google.auth.default()
    except GoogleAuthError as error:
        reason = str(error).split(". ", 1)[0]
        raise UsageError(
            f"no Google Cloud credentials ({reason}); run gcloud auth application-default login, "
            "or set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account"
        ) from None


def check_reachable(needed: Mapping[str, str | None]) -> None:
    """Raise `UsageError` for an option whose value a worker of Dataflow cannot reach."""
    for option, uri in needed.items():
        if uri is None:
            raise UsageError(f"{DATAFLOW} needs {option}, a gs:// address")
        if files.is_local(files.absolute(uri)):
            raise UsageError(
                f"{option} {uri} lies on this machine, which workers of Dataflow cannot reach; "
                "give a gs:// address, and copy there what it must hold"
            )
