"""Show a run, or several side by side, as one page without server or network.

python models/report.py runs/han-1
python models/report.py runs/han-1 --media clips --html han.html
python models/report.py runs/han-1 runs/han-gru-1 --html compare.html

Every training writes the page of its run, RUN/report.html; with --media it is made again with
frames of the clips.
"""

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

import tyro

from models.runtime import command_line as cli
from models.runtime.console import console
from schemas import UsageError

PROGRAM = "models/report.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which runs, and where the page goes."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Run folders of finished trainings."""
    html: Path | None = None
    """File to write; default report.html in the folder of the only run."""
    media: Path | None = None
    """Folder with the media files of the clips, named by their keys, for frames of one run."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if not options.runs:
        raise UsageError(f"say which run or runs: {PROGRAM} RUN [RUN ...] --html FILE")
    cli.say_loading(PROGRAM)
    from models.pages.compare_page import write_comparison
    from models.pages.run_page import write_report

    if len(options.runs) == 1:
        path = write_report(options.runs[0], html=options.html, media=options.media)
    elif options.html is None:
        raise UsageError("say where the page of several runs goes: --html FILE")
    elif options.media is not None:
        raise UsageError("--media shows frames in the page of one run; leave it out")
    else:
        path = write_comparison(options.runs, options.html)
    console().print(f"Page: {path}", markup=False)


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
