"""What runs are worth when a modality is missing, sound is noisy, frames are blurred or dropped.

python models/robustness.py --run runs/fusion-attention-1 runs/audio runs/visual
python models/robustness.py --run runs/fusion-mlp-1 --degraded out/noise10 out/noise0 out/blur4

What is missing is taken out of the features; noise and blur need media, so their stores are made by
beam run features --degrade noise:10 (docs/robustness.md).
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
from typing import Annotated

from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from schemas import UsageError
from schemas.settings.bounds import AtLeast

PROGRAM = "models/robustness.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which runs, on which stores, and where the figure goes."""

    run: tuple[Path, ...] = ()
    """Run folders of models that tag clips: fusions, single nets, several in one figure."""
    features: Path | None = None
    """Clean feature store; default the one that the first run was trained on."""
    degraded: tuple[Path, ...] = ()
    """Stores of the same clips made with --degrade, one for each level."""
    split: str = "test"
    """Split to look at."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Draws which clips and seconds are missing."""
    out: Path = Path("robustness")
    """Folder for robustness.png, .csv and .json."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if not options.run:
        raise UsageError(f"say which runs to look at: python {PROGRAM} --run DIR [DIR ...]")
    cli.say_loading(PROGRAM)
    from models.applications.new_media import open_run
    from models.contract.report import origin
    from models.degraded import figure, scores
    from models.training.run_folder import read_config
    from schemas import read_store_manifest

    files.refuse_unwritable(options.out)
    opened = [open_run(folder) for folder in options.run]
    features = options.features or Path(str(read_config(options.run[0]).features))
    points = [
        point
        for name, run in zip(scores.names_of(opened), opened, strict=True)
        for point in scores.points(
            name, run, features, options.degraded, options.split, options.seed
        )
    ]
    place = options.out / "robustness"
    head, *lines = figure.rows(points)
    files.write_csv(place.with_suffix(".csv"), [head, *lines])
    said = {"split": options.split, "seed": options.seed, "features": str(features)}
    records = [dict(zip(map(str, head), line, strict=True)) for line in lines]
    files.write_json(place.with_suffix(".json"), {**said, "points": records})
    source = origin(read_store_manifest(features).data)
    figure.save_figure(place.with_suffix(".png"), points, source)
    console().print(f"Written: {place}.png, .csv, .json ({len(points)} points)", markup=False)


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
