"""Write a trained run as one file for other programs: ONNX or TorchScript.

python models/export.py --run runs/fayek_audio-1 --to onnx
python models/export.py --run runs/fusion-attention-1 --to torchscript --out tagger.pt --seconds 5

The file takes the features of any number of clips of one length, each with a mask of what is there,
and gives their probabilities. It is compared with the run on made-up clips before it gets its name;
one that gives other numbers is refused. Labels, thresholds, recipe and what each tensor is stand in
its metadata under the key `earsight` (docs/export.md).
"""

from __future__ import annotations

if __name__ == "__main__":  # import this checkout; a signal while it loads is no traceback
    import sys
    from os.path import dirname, realpath

    here = dirname(realpath(__file__))
    sys.path[:] = [dirname(here), *(entry for entry in sys.path if entry != here)]
    from models.runtime.interrupts import exit_at_once

    exit_at_once()

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from models.contract.bounds import Between, Rate, check
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from schemas import UsageError

PROGRAM = "models/export.py"
ENDINGS = {"onnx": ".onnx", "torchscript": ".pt"}
"""Ending of the file of each form."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, as what, and where it goes."""

    run: Path | None = None
    """Run folder of any model."""
    to: Literal["onnx", "torchscript"] | None = None
    """Form of the file; onnx needs pip install 'earsight[onnx]'."""
    out: Path | None = None
    """The file; left out, RUN/<experiment>.onnx or .pt. One that is there is replaced."""
    seconds: Annotated[int, Between(1, 3600)] = 10
    """Length of the clips that the file takes."""
    tolerance: Rate = 1e-4
    """Largest difference from the run's own probabilities that is let through."""

    def __post_init__(self) -> None:
        check(self)


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if options.run is None or options.to is None:
        raise UsageError(
            f"say which run, and as what: {PROGRAM} --run RUN --to onnx, or --to torchscript"
        )
    cli.say_loading(PROGRAM)
    from models.applications.export.file import export_run
    from models.applications.new_media import open_run
    from models.training.run_folder import read_config

    name = read_config(options.run).experiment
    out = options.out or options.run / f"{name}{ENDINGS[options.to]}"
    refuse_no_file(out, options.to)
    files.refuse_unwritable(out.parent)
    run = open_run(options.run)
    largest = export_run(run, options.to, out, options.seconds, options.tolerance)
    console().print(
        f"Written: {out}. It takes any number of clips of {options.seconds} s; on 1, 3 and 5 "
        f"made-up ones its largest difference from the run is {largest:.2g}.",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def refuse_no_file(out: Path, form: str) -> None:
    """Raise `UsageError` for a path that cannot be the file."""
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; give the file, such as {out / 'net'}"
                         f"{ENDINGS[form]}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
