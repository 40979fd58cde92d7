"""Small media folders and a quick way to run `beam`, for the tests of the jobs."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from apache_beam.runners.portability.local_job_service import LocalJobServicer

from pipelines.cli import main
from schemas.machine.ffmpeg import ffmpeg_binary
from tests.complaints import Done, run_here

Beam = Callable[..., Done]


def make_clip(path: Path, seconds: float = 3.0, *, video: bool = True, audio: bool = True) -> Path:
    """A test card with a tone, as H.264 and AAC."""
    command = [ffmpeg_binary(), "-v", "error", "-nostdin", "-y"]
    if video:
        command += ["-f", "lavfi", "-i", f"testsrc2=size=160x120:rate=25:duration={seconds}"]
    if audio:
        command += ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
    subprocess.run([*command, "-pix_fmt", "yuv420p", "-threads", "1", str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def small_media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve short clips, one without sound, one without picture, one that is no media."""
    folder = tmp_path_factory.mktemp("media")
    for index in range(9):
        make_clip(folder / f"clip{index}.mp4", 1.0 + index % 3)
    make_clip(folder / "mute.mp4", audio=False)
    make_clip(folder / "heard.wav", video=False)
    (folder / "broken.mp4").write_bytes(b"this is not a film")
    return folder


@pytest.fixture
def beam(monkeypatch: pytest.MonkeyPatch) -> Beam:
    """Run `beam` in this process (imports cost seconds): `beam("validate", out)`."""

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> Done:
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        return run_here(main, *arguments)

    return run


@pytest.fixture(scope="session")
def loopback() -> Iterator[tuple[str, ...]]:
    """Options for Beam's own job service: the job goes over the wire as it does to a cluster."""
    service = LocalJobServicer()
    port = service.start_grpc_server()
    yield (
        "--runner", "PortableRunner", f"--job_endpoint=localhost:{port}",
        "--environment_type=LOOPBACK",
    )  # fmt: skip
    service.stop()


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A folder with one clip of a second."""
    folder = tmp_path / "media"
    folder.mkdir()
    make_clip(folder / "a.mp4", 1.0)
    return folder
