"""Where the ffmpeg program is: the system's own, else the one in the package `imageio-ffmpeg`."""

import functools
import shutil

from schemas.failure import UsageError


@functools.cache
def ffmpeg_binary() -> str:
    """Return the path of ffmpeg; `UsageError` when neither the system nor a package has one."""
    system = shutil.which("ffmpeg")
    if system:
        return system
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise UsageError(
            "no ffmpeg on this machine: install it (`apt-get install ffmpeg`, `brew install "
            "ffmpeg`) or the Python package `imageio-ffmpeg`"
        ) from None
