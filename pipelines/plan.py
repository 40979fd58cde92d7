"""`beam plan`: what a job would cost before it runs, from counts and figures of your own."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines import files
from pipelines.download.budget import MEAN_SLOWDOWN
from pipelines.download.identity import DEFAULT_PER_HOUR
from pipelines.media.find import MediaIndex
from schemas import UsageError
from schemas.manifests import read_manifest

_BYTES_PER_SECOND_OF_CLIP = {
    "vggish": 128 * 4, "resnet152": 2048 * 4, "r2plus1d": 512 * 4, "logmel": 6400 * 4,
    "segments": 128 * 4 * 2.1,
}  # fmt: skip
_BYTES_PER_BOX = 2048 * 4 + 32
_BYTES_PER_SECOND_OF_MEDIA = 62_000
"""The mean of 17 clips of LLP, AVE and VAS as labs pass them on, 240 to 360 lines."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The arithmetic of a job: clips, hours of download by identity, GB stored, worker hours.

    Example: beam plan --dataset llp --annotations LLP/data --identities 2 --seconds-per-clip 3.5
    """

    dataset: str = "llp"
    """Data set, as for beam run features."""
    annotations: str
    """Folder with its annotation files."""
    split: str | None = None
    """Only this split."""
    media: str | None = None
    """Folder with clips that are there already; they need no download."""
    identities: int = 1
    """Egress identities (cookies, proxy) that share the download."""
    videos_per_hour: float = 300.0
    """Videos an hour that one identity may fetch; sites hold back those that ask for more than
    about 300, and beam run download asks for 280 at most unless told otherwise."""
    height: int = 360
    """Lines of the stored picture, for the size of the media."""
    seconds_per_clip: float = 3.0
    """Extraction time of one clip on one worker; the summary of a run gives yours."""
    workers: int = 1
    """Workers that extract side by side."""
    proposals: int = 10
    """Region proposals a second."""


def run(config: Config, rest: list[str]) -> int:
    """Print the arithmetic."""
    for name in ("identities", "videos_per_hour", "seconds_per_clip", "workers", "height"):
        if getattr(config, name) <= 0:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0")
    if config.media and files.is_local(config.media) and not Path(config.media).is_dir():
        raise UsageError(f"--media {config.media} is not a folder; give the folder with the clips")
    clips = list(read_manifest(config.dataset, config.annotations, config.split))
    index = MediaIndex(files.list_folder(config.media) if config.media else [])
    missing = {clip.video_id for clip in clips if index.find(clip) is None}
    seconds = sum(clip.n_snippets or 10 for clip in clips)
    stored = seconds * (sum(_BYTES_PER_SECOND_OF_CLIP.values()) + config.proposals * _BYTES_PER_BOX)
    hours = len(missing) / config.videos_per_hour / config.identities
    work = len(clips) * config.seconds_per_clip / 3600
    table = Table(title=f"{config.dataset}: plan", show_header=False, title_justify="left")
    table.add_row("clips", f"{len(clips):,} ({seconds / 3600:,.1f} hours of media)")
    table.add_row("videos to download", f"{len(missing):,}")
    table.add_row(
        "download",
        f"{hours:,.1f} h = {len(missing):,} / {config.videos_per_hour:g} an hour / "
        f"{config.identities} identities",
    )
    default = len(missing) / DEFAULT_PER_HOUR * MEAN_SLOWDOWN / config.identities
    table.add_row(
        "",
        f"{default:,.1f} h at the job's own pace: {DEFAULT_PER_HOUR:g} an hour at most, and pauses "
        "that vary",
    )
    media = seconds * _BYTES_PER_SECOND_OF_MEDIA * (config.height / 360) ** 2
    table.add_row("media", f"about {media / 1e9:,.1f} GB at {config.height} lines")
    table.add_row(
        "extraction",
        f"{work:,.1f} worker hours, {work / config.workers:,.1f} h on {config.workers} workers",
    )
    table.add_row("tables", f"at most {stored / 1e9:,.2f} GB before compression")
    Console().print(table)
    return 0
