"""Which streams of a file are its video and its audio."""

from types import SimpleNamespace
from typing import Any

import av
import pytest

from pipelines.media.streams import choose_streams
from schemas import KnownError, Reason

COVER = av.stream.Disposition.attached_pic


def video(width: int, height: int, *, cover: bool = False, known: bool = True) -> Any:
    disposition = COVER if cover else av.stream.Disposition.default
    return SimpleNamespace(
        width=width,
        height=height,
        disposition=disposition,
        codec_context=object() if known else None,
    )


def audio(channels: int | None, *, known: bool = True) -> Any:
    return SimpleNamespace(channels=channels, codec_context=object() if known else None)


def chosen(videos: list[Any], audios: list[Any]) -> tuple[int | None, int | None]:
    """Return the numbers of the streams that are chosen."""
    streams = SimpleNamespace(video=videos, audio=audios)
    seen, heard = choose_streams(SimpleNamespace(streams=streams))  # type: ignore[arg-type]
    return (
        None if seen is None else videos.index(seen), None if heard is None else audios.index(heard)
    )  # fmt: skip


def test_most_pixels_and_most_channels_are_chosen_and_the_first_of_equals() -> None:
    videos = [video(30, 40), video(50, 30), video(30, 50), video(90, 1)]
    assert chosen(videos, [audio(None), audio(2), audio(2), audio(1)]) == (1, 1)
    assert chosen([], [audio(None)]) == (None, 0)
    assert chosen([video(1, 1)], []) == (0, None)


def test_covers_and_streams_that_cannot_be_decoded_are_passed_over() -> None:
    videos = [video(90, 90, cover=True), video(0, 0), video(80, 80, known=False), video(2, 2)]
    assert chosen(videos, [audio(6, known=False), audio(1)]) == (3, 1)
    for videos in ([], [video(90, 90, cover=True)], [video(0, 9)], [video(9, 9, known=False)]):
        with pytest.raises(KnownError, match="holds neither video nor audio") as caught:
            chosen(videos, [audio(2, known=False)])
        assert caught.value.reason is Reason.NO_STREAMS


def test_largest_picture_is_8192_by_8192() -> None:
    assert chosen([video(8192, 8192)], []) == (0, None)
    with pytest.raises(KnownError, match="the video has 8193 x 8192 pixels, 8192 x 8192") as caught:
        chosen([video(8193, 8192)], [audio(1)])
    assert caught.value.reason is Reason.TOO_LARGE
