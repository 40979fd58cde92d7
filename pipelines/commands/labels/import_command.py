"""`beam import-labels`: its options."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Options:
    """Bring per-second training labels that others published into a feature store.

    Example: beam import-labels --audio CLAP/segment_pseudo_labels
    --visual CLIP/segment_pseudo_labels --out out/llp
    Each folder has one .npy for each clip, [seconds, classes] with numbers from 0 to 1, named by
    the clip's key or by its first 11 characters, as VALOR publishes them. Classes are in the order
    of the store's.
    """

    audio: str | None = None
    """Folder with what is heard in each second."""
    visual: str | None = None
    """Folder with what is seen in each second."""
    out: str = "out/llp"
    """Folder of the feature store."""
    source: str = ""
    """What made the labels, for the record; left out: the names of the folders."""


def run(options: Options, rest: list[str]) -> int:
    """Read every file, then replace the table; 2 for a file that does not fit."""
    from pipelines.commands.labels.importing import import_labels  # with Beam

    return import_labels(options)
