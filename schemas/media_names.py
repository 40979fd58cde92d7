"""Which files are taken for media, and what they are called."""

import os
import unicodedata
from pathlib import Path, PurePosixPath

MEDIA_SUFFIXES = frozenset(
    """
    .mp4 .m4v .m4a .m4b .mov .qt .3gp .3gpp .3g2 .mj2 .f4v .ismv .isma .mkv .mka .mk3d .webm .avi
    .divx .ts .m2ts .mts .m2t .mpg .mpeg .mpe .mpv .m1v .m2v .vob .flv .asf .wmv .wma .ogg .ogv .oga
    .ogx .opus .spx .wav .wave .bwf .w64 .aif .aiff .aifc .au .snd .caf .mp2 .mp3 .mpa .m2a .flac
    .aac .adts .ac3 .eac3 .ec3 .dts .amr .ape .wv .tta .tak .mpc .voc .dv .dif .gif .mxf .rm .rmvb
    .ra .ivf .nut .wtv .h264 .264 .avc .h265 .265 .hevc
    """.split()
)
"""Endings, in any case, of the files that are taken for media."""


BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of the text after them, by which a name can look like another."""


def is_media(path: str) -> bool:
    """Tell whether a path or URI is named as media and not hidden.

    >>> is_media("clips/a.MP4"), is_media("clips/.a.mp4"), is_media("notes.txt")
    (True, False, False)
    """
    name = PurePosixPath(path)
    return name.suffix.lower() in MEDIA_SUFFIXES and not name.name.startswith(".")


def files_under(folder: Path) -> list[str]:
    """Return everything but folders in a folder and in those in it, as sorted paths relative to it.

    Hidden folders are left out; links to folders are followed, each folder once.
    """
    seen: set[str] = set()
    paths: list[str] = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += (Path(parent, name).relative_to(folder).as_posix() for name in names)
    return sorted(paths)


def clip_name(path: str) -> str:
    r"""Return a path without its ending as text that tables and terminals hold.

    Bytes that are not UTF-8, control characters, ends of lines and marks that turn the direction of
    text become escapes.

    >>> print(clip_name("dog/bark 1.wav"), clip_name("caf\udce9.mp4"))
    dog/bark 1 caf\xe9
    """
    stem = str(PurePosixPath(path).with_suffix(""))
    return stem if stem.isprintable() else "".join(map(_escaped, stem))


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # how Python keeps a byte of a name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    obeyed = unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in BIDI
    return char.encode("unicode_escape").decode() if obeyed else char
