#!/bin/sh
# Programs beside Python that come as pinned Python packages: ffmpeg for everything, deno for
# yt-dlp, which needs a JavaScript runtime for YouTube.
set -eu
python=/opt/earsight/bin/python
"$python" -m pip install --quiet --no-input --no-cache-dir --no-deps --require-hashes -r "$1"
ln -s "$("$python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')" \
    /usr/local/bin/ffmpeg
