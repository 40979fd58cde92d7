"""What Beam is told: its runner and its options, each checked before a job starts."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from apache_beam.options import pipeline_options as beam_options
from apache_beam.runners.runner import PipelineRunner, create_runner

from pipelines.runners.engines import prepare_engine
from pipelines.runners.option_names import beam_option_names
from schemas import UsageError
from schemas.messages import unknown
from schemas.settings.command_line import refuse_unknown

LOCAL_RUNNER = "FnApiRunner"
"""The default, and what `DirectRunner` means here: `DirectRunner` itself first tries to download
another runner, and picks one by the shape of the graph."""
IN_PROCESS = frozenset({"directrunner", "switchingdirectrunner", LOCAL_RUNNER.lower()})
"""What leads to `LOCAL_RUNNER`."""

_LOSES_DATA = (
    "DaskRunner loses data without a word: with Beam 2.77 it dropped what finish_bundle gave, "
    "mixed tagged outputs and wrote empty Parquet files; use FnApiRunner (add "
    "--direct_running_mode multi_processing --direct_num_workers 2 for more processes), "
    "FlinkRunner, SparkRunner, PortableRunner or DataflowRunner"
)


def beam_arguments(runner: str, rest: Sequence[str]) -> list[str]:
    """Return the arguments for Beam's `PipelineOptions`: the runner, then `rest`.

    `rest` is what our own options left over. Raises `UsageError` for what Beam does not know, for
    DaskRunner, and for an engine that cannot be reached.
    """
    short = runner_class(runner)
    if short == "daskrunner":
        raise UsageError(_LOSES_DATA)
    check_rest(rest)
    name = LOCAL_RUNNER if short in IN_PROCESS else runner
    _check_runner(name)
    arguments = [f"--runner={name}", *rest]
    prepare_engine(arguments)
    return arguments


def runner_class(runner: str) -> str:
    """Return `flinkrunner` for `flink`, `FlinkRunner` and its dotted path: Beam takes all."""
    short = runner.rsplit(".", 1)[-1].lower()
    return short if "." in runner or short.endswith("runner") else f"{short}runner"


def _check_runner(runner: str) -> None:
    known = beam_options.StandardOptions.KNOWN_RUNNER_NAMES
    try:
        created = create_runner(runner)
    except (ImportError, ValueError, AttributeError, TypeError) as error:
        if runner_class(runner) in map(str.lower, known):
            raise UsageError(f"{runner} cannot be used here ({error})") from None
        created = None
    if not isinstance(created, PipelineRunner):
        raise UsageError(unknown("runner", runner, sorted(known)))


def check_rest(rest: Sequence[str]) -> None:
    """Raise `UsageError` for an argument or a value that Beam does not take."""
    refuse_unknown(rest, beam_option_names(), "--help")
    _, stray = _beam_parser().parse_known_args(list(rest))
    if stray:
        raise UsageError(f"unexpected argument {stray[0]!r}; options start with --")


def given_to_beam(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options of Beam that `arguments` set, by the names that Beam keeps them under."""
    parser = _beam_parser()
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    return vars(parser.parse_known_args(list(arguments))[0])


def local_processes(arguments: Sequence[str]) -> int:
    """Return how many workers Beam's local runner starts; 0 stands for one per core."""
    local = beam_options.PipelineOptions(list(arguments)).view_as(beam_options.DirectOptions)
    return int(local.direct_num_workers)


class _OneSentence(beam_options._BeamArgumentParser):
    """Beam's parser, whose complaints are ours."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"Beam: {message}")


def _beam_parser() -> argparse.ArgumentParser:
    parser = _OneSentence(allow_abbrev=False, add_help=False)
    for group in beam_options.PipelineOptions.__subclasses__():
        if group.__module__.startswith(("apache_beam", "pipelines")):
            group._add_argparse_args(parser)
    return parser
