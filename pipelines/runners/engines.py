"""Engines behind a job server: what must be in place before a job, and what their failures mean.

Flink, Spark and their like answer a mistake late, in Java's words, or not at all. What can be known
beforehand is asked beforehand, with a time limit.
"""

import argparse
import logging
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    SparkRunnerOptions,
)
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.portability.spark_runner import SparkRunner
from apache_beam.runners.runner import create_runner
from apache_beam.transforms.environments import DockerEnvironment

from schemas import UsageError

_ANSWER_S = 5.0
"""An address that takes no connection for so long is not there."""
_CAUSE = "Caused by: "
_AGAIN = "what is finished is kept: run the same command again"
_TROUBLE = {
    "failed in state FAILED:": f"the engine gave the job up ({{why}}); {_AGAIN}",
    "failed in state CANCELLED:": f"the job was cancelled on its engine; {_AGAIN}",
    "Unable to fetch remote job server jar at": "the job server's jar cannot be fetched ({why}); "
    "give its file with --flink_job_server_jar or --spark_job_server_jar",
    "Service failed to start up with error": "the job server ended at its start with status {why}; "
    "start it by hand with java -jar to read why",
    "StatusCode.UNAVAILABLE": f"the connection to the engine was lost; {_AGAIN}",
}
"""What Beam and its job servers say, and what we make of it."""


class FlinkServerOptions(PipelineOptions):
    """Options that Beam's Flink job server knows and Beam's Python side does not."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--number_of_execution_retries", type=int)
        parser.add_argument("--execution_retry_delay", type=int)


def prepare_engine(arguments: Sequence[str]) -> None:
    """Get this process ready for the engine that `arguments` of Beam's `PipelineOptions` name.

    Raises `UsageError` where it cannot be reached or started.
    """
    options = PipelineOptions(list(arguments))
    runner = create_runner(options.get_all_options()["runner"])
    if not isinstance(runner, PortableRunner) or isinstance(runner, PrismRunner):
        return
    logging.getLogger().addFilter(_is_ours)
    endpoint = options.view_as(PortableOptions).job_endpoint
    if endpoint:
        if endpoint != "embed":
            _check_answer("--job_endpoint", endpoint, "a job server")
    elif isinstance(runner, FlinkRunner):
        flink = options.view_as(FlinkRunnerOptions)
        _check_master("--flink_master", flink.flink_master, "a Flink cluster")
        _check_jar("--flink_job_server_jar", flink.flink_job_server_jar)
        _check_java(options, needed=not flink.flink_submit_uber_jar)
    elif isinstance(runner, SparkRunner):
        spark = options.view_as(SparkRunnerOptions)
        _check_master("--spark_master_url", spark.spark_master_url, "a Spark master")
        _check_jar("--spark_job_server_jar", spark.spark_job_server_jar)
        _check_java(options, needed=not spark.spark_submit_uber_jar)
    else:
        raise UsageError(
            "PortableRunner needs --job_endpoint host:port, the address of a job server; "
            "FlinkRunner and SparkRunner start one by themselves"
        )
    _check_environment(options, runner)


def engine_trouble(error: BaseException) -> str | None:
    """Return one sentence for an engine's failure; None where a worker's own code failed."""
    text = str(error)
    if "Traceback (most recent call last)" in text:
        return None
    for sign, sentence in _TROUBLE.items():
        _, sign_there, rest = text.partition(sign)
        if sign_there:
            return sentence.format(why=_root_cause(rest))
    return None


def _root_cause(text: str) -> str:
    """Return the line that matters in Java's message: the innermost cause, else the first."""
    lines = [line.strip() for line in text.strip().splitlines()]
    causes = [line.removeprefix(_CAUSE) for line in lines if line.startswith(_CAUSE)]
    return [*lines[:1], *causes][-1][:300] if lines else "no reason given"


def _is_ours(record: logging.LogRecord) -> bool:
    """Drop an engine's log, which Beam repeats as its own; its last line is the error."""
    return record.module != "portable_runner"


def _check_answer(option: str, address: str, what: str) -> None:
    host, _, port = address.rpartition("://")[2].rstrip("/").rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{option} is {address!r}; it must be host:port, the address of {what}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{what} does not answer at {option} {address} ({why})") from None


def _check_master(option: str, master: str, what: str) -> None:
    """Check an address; names like `[auto]`, `local[4]` and `yarn` are none."""
    if ":" in master:
        _check_answer(option, master, what)


def _check_jar(option: str, jar: str | None) -> None:
    if jar and "://" not in jar and not Path(jar).is_file():
        raise UsageError(f"{option} {jar} is not a file; give the job server's jar")


def _check_java(options: PipelineOptions, *, needed: bool) -> None:
    java = options.view_as(JobServerOptions).job_server_java_launcher
    if needed and shutil.which(java) is None:
        raise UsageError(
            f"the job server needs Java and there is no program {java!r}; install Java 17, or "
            "give --job_endpoint, the address of a job server that runs elsewhere"
        )


def _check_environment(options: PipelineOptions, runner: PortableRunner) -> None:
    """Check that workers have earsight: Beam's own image, a cluster's default, has not."""
    try:
        environment = runner.default_environment(options)
    except (ValueError, TypeError, LookupError):  # what it meets in options as they are
        given = options.view_as(PortableOptions)
        raise UsageError(
            f"--environment_type is {given.environment_type} and --environment_config is "
            f"{given.environment_config or 'not given'}; EXTERNAL needs host:port of a worker "
            "pool, DOCKER an image, PROCESS a command, LOOPBACK nothing"
        ) from None
    if (
        isinstance(environment, DockerEnvironment)
        and environment.container_image == DockerEnvironment.default_docker_image()
    ):
        raise UsageError(
            "workers would run in Beam's own image, which has no earsight; give --environment_type "
            "EXTERNAL with --environment_config host:port of worker pools, DOCKER with "
            "--environment_config IMAGE, or LOOPBACK to work in this process"
        )
