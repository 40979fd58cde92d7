"""What the launcher of the Flex Template runs: `beam run JOB`, with the parameters as options."""

import argparse
import sys
from collections.abc import Sequence

from pipelines.cli import main


def launch(arguments: Sequence[str]) -> int:
    """Run the job that `--job` names; the other arguments are its own and Beam's."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--job", choices=("features", "download"), required=True)
    chosen, rest = parser.parse_known_args(arguments)
    return main(["run", chosen.job, *rest])


if __name__ == "__main__":
    raise SystemExit(launch(sys.argv[1:]))
