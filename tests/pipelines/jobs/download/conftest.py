"""A server that misbehaves, yt-dlp's YouTube extractor turned to it, and clips to serve."""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import Clip, read_store_manifest
from schemas.machine.ffmpeg import ffmpeg_binary
from tests.pipelines.conftest import Beam
from tests.pipelines.jobs.download.server import Site, serving

PLUGINS = Path(__file__).parent / "plugins"
Download = Callable[..., "subprocess.CompletedProcess[str]"]


def make_film(
    path: Path, seconds: float, *more: str, rate: int = 25, size: str = "320x240"
) -> Path:
    """A test card with a running clock and a tone, a key frame every four seconds."""
    command = [
        ffmpeg_binary(), "-v", "error", "-nostdin", "-y",
        "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}",
        "-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={seconds}",
        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-g", str(4 * rate),
        "-c:a", "aac", "-threads", "1", *more, str(path),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A clip of 3 s, one of 1.2 s, and a video of 20 s."""
    folder = tmp_path_factory.mktemp("films")
    return {
        "clip": make_film(folder / "clip.mp4", 3.0),
        "short": make_film(folder / "short.mp4", 1.2),
        "video": make_film(folder / "video.mp4", 20.0),
    }


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The server; yt-dlp's YouTube extractor asks it for player responses."""
    with serving() as found:
        monkeypatch.setenv("EARSIGHT_TEST_SITE", found.address)
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        monkeypatch.syspath_prepend(str(PLUGINS))
        yield found


@pytest.fixture
def download(beam: Beam, tmp_path: Path) -> Download:
    """Run `beam run download` on clips, with budgets of its own and short pauses."""

    def run(clips: Path, *more: object, media: Path | None = None) -> Any:
        words = ["run", "download", "--dataset", "audioset", "--annotations", clips]
        words += ["--media", media or tmp_path / "media", "--state", tmp_path / "state"]
        words += ["--retry-pause", 0.05]
        words += [] if "--parallel" in more else ["--parallel", 1]  # a process takes a second
        return beam(*words, "--split", "train", *more)

    return run


def write_clips(folder: Path, clips: Sequence[tuple[str, float, float]]) -> Path:
    """An AudioSet annotation folder with these clips, all of split `train`."""
    folder.mkdir(exist_ok=True)
    labels = 'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/0bt9lr,"Dog"\n'
    (folder / "class_labels_indices.csv").write_text(labels)
    head = "# Segments csv created\n# num_ytids=1\n# YTID, start_seconds, end_seconds, labels\n"
    lines = [f'{video}, {start:.3f}, {end:.3f}, "/m/09x0r"\n' for video, start, end in clips]
    (folder / "balanced_train_segments.csv").write_text(head + "".join(lines), newline="")
    return folder


def youtube_id(number: int) -> str:
    """A name that looks like a YouTube id."""
    return f"-test{number:06d}"


def clip_key(video: str, start: float, end: float) -> str:
    """The key of a clip."""
    return Clip(video, start, end).key


def read_media(media: Path, table: str = "media") -> dict[str, dict[str, Any]]:
    """A table of a media store by clip key."""
    paths = read_store_manifest(media, media=True).paths(table)
    rows = pa.concat_tables([pq.read_table(path) for path in paths]).to_pylist() if paths else []
    return {row["clip_key"]: row for row in rows}


def reasons(media: Path) -> dict[str, str]:
    """Clip key to reason of the failures."""
    return {key: row["reason"] for key, row in read_media(media, "failures").items()}


def counts(media: Path) -> dict[str, Any]:
    """The counts of a media store."""
    found: dict[str, Any] = json.loads((media / "manifest.json").read_text())["counts"]
    return found
