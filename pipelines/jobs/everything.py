"""`beam run everything`: the download, then the features, with nothing but storage between them."""

from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, TypeVar

from pipelines.jobs.download import command as download
from pipelines.jobs.features import command as features
from schemas import UsageError
from schemas.settings.bounds import AtLeast

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Options(download.Options, features.Options):
    """Fetch the clips of a data set and make feature tables from them.

    Options are those of beam run download and beam run features. Killed or stopped, the same
    command goes on where it was. Example:

    beam run everything --dataset llp --annotations LLP/data --out out/llp --delete-media
    """

    dataset: str = "llp"
    """llp, audioset, dcase2017, ave, unav100, kinetics-instruments or folder."""
    unit_size: Annotated[int, AtLeast(1)] = 16
    """Clips that are committed together: what a kill can cost at most."""
    delete_media: bool = False
    """Remove a clip's file once its features stand; its record and its sha256 stay."""
    batch: Annotated[int, AtLeast(1)] = 512
    """With --delete-media: so many clips are fetched, then worked on, then removed."""


def run(options: Options, rest: list[str]) -> int:
    """Download, features, and so on until nothing is left; 1 when either fell short."""
    from pipelines.jobs.rounds import run_rounds
    from pipelines.runners.presets import choose_destination, is_dataflow

    if options.dataset == "demo":
        raise UsageError("the demo world needs no download; run beam run features --dataset demo")
    if options.preset is not None or is_dataflow(options.runner):
        raise UsageError(
            "beam run everything works in rounds on this machine; for Dataflow give first beam run "
            "download --preset dataflow-cpu, then beam run features --preset dataflow-gpu"
        )
    options = replace(options, media=options.media or f"media/{options.dataset}")
    return run_rounds(
        _part(options, download.Options),
        _part(options, features.Options),
        batch=options.batch if options.delete_media else None,
        rest=rest,
        destination=choose_destination(options.runner, rest),
    )


def _part(options: Options, kind: type[T]) -> T:
    """Return the options of one of the two commands."""
    wanted: Any = kind
    return kind(**{field.name: getattr(options, field.name) for field in fields(wanted)})
