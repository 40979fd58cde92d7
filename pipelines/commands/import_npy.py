"""`beam import-npy`: the LLP authors' published features as the same tables.

The authors publish three folders with one `.npy` per clip, named by the first 11 characters of the
clip's name: VGGish [10, 128], ResNet-152 [80, 2048], R(2+1)D-18 [10, 512]. No media is needed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commands.npy_files import FOLDERS
from schemas import UsageError
from schemas.machine.programs import command
from schemas.settings import screen


@dataclass(frozen=True, kw_only=True)
class Options:
    """Turn the LLP authors' published features into the tables that the trainer reads.

    Example: beam import-npy --annotations LLP/data --npy LLP/feats --out out/llp
    """

    annotations: str
    """Folder with the LLP annotation files."""
    npy: str = "."
    """Folder that holds the authors' folders vggish, res152 and r2plus1d_18."""
    vggish: str | None = None
    """Folder of VGGish files, [10, 128] each, when it has another name."""
    resnet152: str | None = None
    """Folder of ResNet-152 files, [80, 2048] each, when it has another name."""
    r2plus1d: str | None = None
    """Folder of R(2+1)D-18 files, [10, 512] each, when it has another name."""
    out: str = "out/llp"
    """Folder for the tables."""
    resnet152_frames: Literal["mean", "keep"] = "mean"
    """Store the mean of a second's 8 ResNet-152 vectors, or each of them."""


def run(options: Options, rest: list[str]) -> int:
    """Import every clip of LLP; a missing or misshapen file is that clip's failure."""
    folders = find_folders(options)
    from pipelines.commands.npy_import import import_llp  # with Beam and the nets

    counts = import_llp(options.annotations, folders, options.out, options.resnet152_frames)
    console = screen.results()
    console.print(
        f"{options.out}: {counts['clips_done']:,} of {counts['clips_in']:,} clips imported, "
        f"{counts['clips_failed']:,} failed {counts['failed_by_reason']}",
    )
    console.print(
        f"Next: {command('models/train.py', 'han', '--features', options.out)}",
        soft_wrap=True,
    )
    return 0 if counts["clips_done"] else 1


def find_folders(options: Options) -> dict[str, Path]:
    """Return the folder of each feature; `UsageError` for one that is not there."""
    folders = {
        name: Path(getattr(options, name) or Path(options.npy, sub))
        for name, sub in FOLDERS.items()
    }
    for name, folder in folders.items():
        if not folder.is_dir():
            raise UsageError(
                f"{folder} is not a folder; give the folder of {name} files with --{name}, or the "
                "one above the three with --npy"
            )
    return folders
