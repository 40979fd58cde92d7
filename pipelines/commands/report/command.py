"""`beam report OUT`: what is in a store or a media folder, as one page to look at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from schemas import UsageError
from schemas.settings import screen


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write one self-contained page of HTML about a feature store, or about a media folder.

    The page of a store shows what came and what failed and why, the coverage of each class, how
    loud, still, long and large the clips are, whether the features are healthy, and cards of clips.
    With --media the clips of the cards can be seen and heard. Nothing is loaded from elsewhere.

    Example: beam report out/demo --media clips --html demo.html
    """

    out: Annotated[str, tyro.conf.Positional]
    """The folder with manifest.json: OUT of a features job, or the media folder of a download."""
    media: str | None = None
    """Folder of the clips, as for `beam run features`; short copies go into the page."""
    html: str | None = None
    """Where the page goes; report.html in OUT when it is left out."""


def run(options: Options, rest: list[str]) -> int:
    """Write the page and say where it is."""
    from pipelines.commands.report.media_page import media_page  # with Arrow
    from pipelines.commands.report.store_page import store_page
    from pipelines.store import files
    from schemas import read_store_manifest

    out = files.absolute(options.out)
    if not files.is_local(out):
        raise UsageError(f"beam report reads a local folder; copy {out} to a folder first")
    manifest = read_store_manifest(Path(out), media=True)
    of_media = manifest.data.get("kind") == "media"
    if of_media and options.media is not None:
        raise UsageError(f"{options.out} is a media folder; leave --media {options.media} out")
    if options.media is not None and not Path(options.media).is_dir():
        raise UsageError(f"--media {options.media} is no folder; name the folder of the clips")
    target = Path(options.html) if options.html else manifest.root / "report.html"
    page = media_page(manifest) if of_media else store_page(manifest, options.media)
    files.write(str(target.absolute()), page.encode())
    screen.results().print(
        f"report of {options.out}: {target} ({len(page.encode()) / 1e6:.1f} MB)", soft_wrap=True,
    )  # fmt: skip
    return 0
