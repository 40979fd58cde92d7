"""What each modality brings, class by class: the figures of Fayek & Kumar from any fusion run.

python -m models.analysis --run runs/fusion-attention-1
python -m models.analysis --run runs/fusion-attention-1 --split val --out analysis

Paper: Fayek, Kumar, "Large Scale Audiovisual Learning of Sounds with Weakly Labeled Data",
    IJCAI 2020, https://arxiv.org/abs/2006.01595, section 5 and figures 2 to 4.

Letters: N clips, C classes.
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

from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from schemas import UsageError

PROGRAM = "models.analysis"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, on which clips, and where the figures go."""

    run: Path | None = None
    """Run folder of a fusion model."""
    features: Path | None = None
    """Feature store with the labels; default the one that the run was trained on."""
    split: str = "test"
    """Split to look at."""
    out: Path | None = None
    """Folder for figures and tables; default RUN/analysis-<split>."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if options.run is None:
        raise UsageError(f"say which run to look at: python -m {PROGRAM} --run DIR")
    cli.say_loading(PROGRAM)
    from models.applications import class_figures  # with torch and matplotlib
    from models.applications.class_analysis import analyse, class_rows, count_table, counts

    analysis = analyse(options.run, options.features, options.split)
    counted = counts(analysis)
    out = options.out or options.run / f"analysis-{options.split}"
    files.write_json(out / "counts.json", counted)
    files.write_csv(out / "classes.csv", class_rows(analysis))
    figures = class_figures.save(out, analysis)
    screen = console()
    screen.print(count_table(counted, len(analysis.names)))
    screen.print(f"Written: {', '.join(str(path) for path in (*figures, out / 'classes.csv'))}")


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
