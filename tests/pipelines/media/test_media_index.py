"""Which file holds which clip, and which files hold none."""

import av
import pytest

from pipelines.media.containers import DEMUXERS
from pipelines.media.media_index import MediaFile, MediaIndex
from schemas import Clip
from schemas.media_names import MEDIA_SUFFIXES

UNLISTED = frozenset(
    """
    .qt .3gpp .divx .ts .m2ts .mts .m2t .mpg .mpeg .mpe .mpv .m1v .m2v .vob .asf .wmv .wma .ogv .oga
    .ogx .opus .spx .wav .wave .bwf .w64 .aif .aiff .aifc .au .snd .caf .adts .amr .wv .voc .mxf .rm
    .rmvb .ra .ivf .wtv
    """.split()
)
"""Endings of media whose demuxer names no ending, or another one."""
NO_MEDIA = frozenset(".avif .heic .heif .mks .ism .psp .apl .mac .h26l".split())
"""Endings that demuxers name and that are of pictures, of subtitles or of other things."""


def test_endings_are_those_of_the_containers_that_may_be_opened() -> None:
    named = {
        f".{ending}"
        for demuxer in DEMUXERS
        for ending in av.format.ContainerFormat(demuxer, "r").extensions
    }
    assert named - NO_MEDIA <= MEDIA_SUFFIXES
    assert MEDIA_SUFFIXES - named == UNLISTED


def test_cut_file_goes_before_the_whole_video() -> None:
    index = MediaIndex(["m/v.mp4", "m/v_3_5.mkv"], "m")
    assert index.find(Clip("v", 3.0, 5.0)) == MediaFile("m/v_3_5.mkv", cut=True)
    assert index.find(Clip("v", 5.0, 7.0)) == MediaFile("m/v.mp4", cut=False)
    assert index.find(Clip("w", 5.0, 7.0)) is None


@pytest.mark.parametrize("folder", ["/data/m", "gs://bucket/m"])
def test_files_in_folders_are_found_by_path_and_by_name(folder: str) -> None:
    names = ("dog/1.wav", "cat/1.wav", "train/cat/2.ogg", "3.wmv")
    index = MediaIndex([f"{folder}/{name}" for name in names], folder)
    assert index.names() == ["3", "cat/1", "dog/1", "train/cat/2"]
    assert index.uri("dog/1") == f"{folder}/dog/1.wav"
    assert index.uri("1") == f"{folder}/cat/1.wav"  # the first in the order of paths
    found = index.find(Clip("2", 0.0, 10.0))
    assert found is not None
    assert found.uri == f"{folder}/train/cat/2.ogg"


def test_files_that_are_no_media_are_kept_by_name() -> None:
    index = MediaIndex(["m/b.xyz", "m/a.mp4", "m/in/notes.txt", "m/.hidden.mp4", "m/.x"], "m")
    assert index.others == ["b.xyz", "in/notes.txt"]
    assert len(index) == 1


def test_names_that_are_not_utf_8_are_clips_with_names_that_are() -> None:
    index = MediaIndex(["m/caf\udce9.mp4", "m/a\x1b\n.mp4"], "m")
    assert index.names() == ["a\\x1b\\n", "caf\\xe9"]
    assert index.uri("caf\\xe9") == "m/caf\udce9.mp4"


def test_of_two_files_with_one_name_the_first_is_taken() -> None:
    index = MediaIndex(["m/a.wav", "m/a.mp4"], "m")
    assert index.uri("a") == "m/a.mp4"
