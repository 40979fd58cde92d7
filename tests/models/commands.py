"""A command of the models, run in this process."""

import contextlib
import io
from collections.abc import Callable, Sequence

from models.runtime import command_line as cli


def run_command(main: Callable[[Sequence[str]], None], *arguments: object) -> tuple[int, str]:
    """Return the exit status of a command and what it wrote on stderr."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        status = cli.run(main, [str(argument) for argument in arguments])
    return status, errors.getvalue()
