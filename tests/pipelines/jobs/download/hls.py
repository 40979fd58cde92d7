"""HLS as ffmpeg makes it: playlists and fragments of a film, in every form that is fetched."""

import subprocess
from pathlib import Path

from schemas.machine.ffmpeg import ffmpeg_binary

FORMS = ("ts", "fmp4", "aes", "range", "fmp4_range", "apart")
KEY = bytes(range(16))
_FRAGMENT_S = 2
_STREAM = '#EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=160x120,CODECS="avc1.42c00d,mp4a.40.2"'


def run_ffmpeg(*words: object, cwd: Path | None = None) -> None:
    """Run ffmpeg quietly."""
    command = [ffmpeg_binary(), "-v", "error", "-nostdin", "-y", *map(str, words)]
    subprocess.run(command, check=True, cwd=cwd)


def make_chirp(path: Path, seconds: float, *more: str) -> Path:
    """A test card with a running clock and a rising tone: every moment looks and sounds its own."""
    run_ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=size=160x120:rate=25:duration={seconds}",
        "-f", "lavfi", "-i", f"aevalsrc='0.5*sin(2*PI*(200+20*t)*t)':s=44100:d={seconds}",
        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-g", "50",
        "-c:a", "aac", "-b:a", "128k", "-threads", "1", *more, path,
    )  # fmt: skip
    return path


def make_hls(folder: Path, film: Path, form: str) -> Path:
    """Cut a film into fragments of two seconds; return the folder, with `master.m3u8` in it."""
    folder.mkdir()
    words: list[object] = ["-i", film.absolute(), "-c", "copy", "-f", "hls"]
    words += ["-hls_time", _FRAGMENT_S, "-hls_playlist_type", "vod"]
    if form.startswith("fmp4"):
        words += ["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4"]
    if form.endswith("range"):
        words += ["-hls_flags", "single_file"]
    if form == "aes":
        (folder / "video.key").write_bytes(KEY)
        (folder / "info.txt").write_text("video.key\nvideo.key\n")
        words += ["-hls_key_info_file", "info.txt"]
    if form == "apart":
        words += ["-map", "0:v", "-map", "0:a", "-master_pl_name", "master.m3u8"]
        words += [
            "-var_stream_map",
            "v:0,agroup:heard a:0,agroup:heard,default:yes",
            "part_%v.m3u8",
        ]
    else:
        words += ["media.m3u8"]
    run_ffmpeg(*words, cwd=folder)
    if form != "apart":
        (folder / "master.m3u8").write_text(f"#EXTM3U\n{_STREAM}\nmedia.m3u8\n")
    return folder


def make_packed(folder: Path, film: Path) -> Path:
    """HLS whose sound lies apart as bare AAC, which has no clock."""
    make_hls(folder, film, "apart")
    words: list[object] = ["-map", "0:a", "-c", "copy", "-f", "segment"]
    words += ["-segment_time", _FRAGMENT_S, "-segment_format", "adts", "-segment_list_type", "m3u8"]
    run_ffmpeg("-i", film.absolute(), *words, "-segment_list", "part_1.m3u8", "heard%d.aac",
               cwd=folder)  # fmt: skip
    return folder


def make_dash(folder: Path, film: Path) -> Path:
    """Cut a film into DASH segments of two seconds; return the folder, with `manifest.mpd`."""
    folder.mkdir()
    words = ("-c", "copy", "-f", "dash", "-seg_duration", _FRAGMENT_S, "-use_timeline", 1)
    run_ffmpeg("-i", film.absolute(), *words, "manifest.mpd", cwd=folder)
    return folder


def itagged(folder: Path, prefix: str) -> dict[str, bytes | Path]:
    """The files of a folder whose sound lies apart, at addresses such as YouTube's."""
    text = (folder / "master.m3u8").read_text()
    for number, itag in enumerate((134, 233)):
        text = text.replace(f"part_{number}.m3u8", f"{prefix}/itag/{itag}/part_{number}.m3u8")
    files = {**files_of(folder, f"{prefix}/itag/134"), **files_of(folder, f"{prefix}/itag/233")}
    return {**files, f"{prefix}/master.m3u8": text.encode()}


def files_of(folder: Path, prefix: str) -> dict[str, bytes | Path]:
    """The files of a folder as a server has them."""
    return {f"{prefix}/{path.name}": path for path in folder.iterdir()}
