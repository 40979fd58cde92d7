"""`beam demo`: a figure of any clip of the demo world."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas import UsageError
from schemas.settings import screen


@dataclass(frozen=True, kw_only=True)
class Options:
    """Generate the demo world (or find it in the cache) and draw one of its clips.

    The figure shows ten frames with their boxes, the waveform, and what is heard and seen when.
    Example: beam demo --clip 3 --picture clip.png
    """

    clip: int = 0
    """Number of the clip."""
    picture: str = "demo-clip.png"
    """Where the PNG goes."""
    media: str | None = None
    """Folder for the generated files; a cache folder when it is left out."""
    clips: int = 24
    """How many clips the world has."""
    seed: int = 0
    """Another seed is another world."""
    classes: int = 12
    """How many classes occur."""
    difficulty: Literal["easy", "default", "hard"] = "default"
    """How hard it is to see and hear."""
    sources: bool = False
    """Also keep the clean waveform of every event."""


def run(options: Options, rest: list[str]) -> int:
    """Draw the clip and say where everything lies."""
    from pipelines.demo import DemoOptions, demo_folder, draw_clip, generate  # with matplotlib

    world = DemoOptions(
        clips=options.clips,
        seed=options.seed,
        classes=options.classes,
        difficulty=options.difficulty,
        sources=options.sources,
    )
    if not 0 <= options.clip < world.clips:
        raise UsageError(f"--clip is {options.clip}; this world has clips 0 to {world.clips - 1}")
    folder = generate(world, Path(options.media) if options.media else demo_folder(world))
    key = world.clip_key(options.clip)
    draw_clip(folder, key, Path(options.picture))
    screen.results().print(
        f"clips and truth: {folder}\npicture of {key}: {options.picture}",
        soft_wrap=True,
    )
    return 0
