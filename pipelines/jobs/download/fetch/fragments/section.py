"""The fragments that cover a clip, as a section file: the same that `section` makes of one file."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from pipelines.jobs.download.fetch.fragments.clock import (
    READ_TIMEOUT_S,
    FragmentSource,
    check_clock,
    shift_of,
)
from pipelines.jobs.download.fetch.section import MARGIN_S, SHIFT_S
from pipelines.media.containers import open_media, refusal
from pipelines.media.streams import choose_streams
from schemas import KnownError, Reason

_MOST_JUMP_S = 0.5
"""A packet begins at most so much before or after the end of the one before it."""
AvStream = av.VideoStream | av.AudioStream


@dataclass
class _Copy:
    """The section file while it is written."""

    container: "av.container.OutputContainer"
    streams: dict[str, AvStream] = field(default_factory=dict)
    forms: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Of each stream: its codec, and what its container tells a decoder first."""
    last_dts: dict[str, Fraction] = field(default_factory=dict)
    """Of each stream, in seconds: no packet may be decoded before the one before it."""
    begins_s: float = math.inf
    """The first frame that can be decoded, in seconds of the video."""
    ends_s: float = -math.inf


def copy_fragments(
    sources: list[FragmentSource], start_s: float, end_s: float, folder: Path
) -> list[Path]:
    """Fetch what covers a section; return one file of video and sound, or one of each.

    Second 0 of the video lies at second `SHIFT_S` of a file. Raises `KnownError`: `corrupt` where
    fragments cannot be read or their clocks do not fit the playlist.
    """
    paths = []
    for number, source in enumerate(sources):
        kinds = ("video", "audio")[number : number + 1] if len(sources) > 1 else ("video", "audio")
        path = folder / f"section{number}.mkv"
        try:
            _copy_source(source, sources, kinds, (start_s, end_s), path)
        except (av.error.FFmpegError, ValueError) as error:
            said = getattr(error, "strerror", None) or error
            detail = f"the fragments cannot be read: {said}"
            raise refusal(error) or KnownError(Reason.CORRUPT, detail) from None
        paths.append(path)
    return paths


def _copy_source(
    source: FragmentSource,
    sources: list[FragmentSource],
    kinds: tuple[str, ...],
    span: tuple[float, float],
    path: Path,
) -> None:
    """Copy the covering fragments; fetch the one before while no key frame stands at the start."""
    rendition = source.rendition
    first, last = rendition.covering(*span)
    end = len(rendition.fragments) - 1
    while True:
        with av.open(str(path), "w", format="matroska") as container:
            copy = _Copy(container)
            for begin, until in rendition.runs(first, last):
                shift_s = shift_of(source, sources, begin)
                for number in range(begin, until + 1):
                    check_clock(source, number, shift_s)
                _copy_run(source.join(begin, until), copy, kinds, shift_s, span[1])
        if copy.begins_s > span[0] and first > 0 and _may_lie_before(source, first, span[0]):
            first -= 1
        elif copy.ends_s < min(span[1], rendition.duration_s - MARGIN_S) and last < end:
            last += 1
        else:
            return


def _may_lie_before(source: FragmentSource, first: int, start_s: float) -> bool:
    """Tell whether a fragment's picture may begin in the one before: not after a break there."""
    rendition = source.rendition
    fragment = rendition.fragments[first]
    return rendition.head(first) != first or fragment.start_s > start_s


def _copy_run(
    path: Path, copy: _Copy, kinds: tuple[str, ...], shift_s: float, end_s: float
) -> None:
    """Copy the packets of one file, `shift_s` later, up to `end_s` of the video."""
    with open_media(path, READ_TIMEOUT_S) as source:
        chosen = [one for one in choose_streams(source) if one is not None and one.type in kinds]
        if not chosen:
            raise KnownError(Reason.NO_STREAMS, f"the fragments hold no {' or '.join(kinds)}")
        for stream in chosen:
            _open_stream(copy, stream, source.format.name)
        begun: set[int] = set()
        ends_s: dict[str, float] = {}
        for packet in source.demux(chosen):
            if packet.pts is None or packet.dts is None or packet.time_base is None:
                continue
            moment_s = float(packet.pts * packet.time_base) + shift_s
            if packet.is_keyframe:
                begun.add(packet.stream_index)
            if packet.stream_index not in begun or moment_s > end_s + MARGIN_S:
                continue
            _check_follows(packet, moment_s, ends_s)
            if packet.stream.type == kinds[0] or len(chosen) == 1:
                copy.begins_s = min(copy.begins_s, moment_s)
                copy.ends_s = max(copy.ends_s, moment_s)
            _mux(copy, packet, shift_s)


def _check_follows(packet: "av.Packet[Any]", moment_s: float, ends_s: dict[str, float]) -> None:
    """Raise `KnownError` `corrupt` where a clock jumps back within a run, or sound is missing.

    `ends_s` holds where the last packet of each stream ended. Frames may be far apart in slide
    shows, sound never is.
    """
    kind, ended_s = packet.stream.type, ends_s.get(packet.stream.type)
    assert packet.time_base is not None
    ends_s[kind] = moment_s + float((packet.duration or 0) * packet.time_base)
    if ended_s is None:
        return
    if moment_s < ended_s - _MOST_JUMP_S:
        raise KnownError(
            Reason.CORRUPT, f"the clock of the fragments jumps back to {moment_s:.1f} s"
        )
    if kind == "audio" and moment_s > ended_s + _MOST_JUMP_S:
        raise KnownError(
            Reason.CORRUPT,
            f"the fragments have no sound from {ended_s:.1f} to {moment_s:.1f} s",
        )


def _open_stream(copy: _Copy, stream: AvStream, container: str) -> None:
    codec = stream.codec_context
    told = codec.extradata or b"" if container != "mpegts" else b""  # there it is in the packets
    form = copy.forms.setdefault(stream.type, (codec.name, told))
    if stream.type not in copy.streams:
        copy.streams[stream.type] = copy.container.add_stream_from_template(stream)
    if form != (codec.name, told):
        raise KnownError(Reason.FORMAT, f"the {stream.type} changes its form within the clip")


def _mux(copy: _Copy, packet: "av.Packet[Any]", shift_s: float) -> None:
    kind, base = packet.stream.type, packet.time_base
    assert packet.pts is not None and packet.dts is not None and base is not None  # noqa: PT018
    shift = round((SHIFT_S + shift_s) / base)
    dts = packet.dts + shift
    if kind in copy.last_dts:  # runs may overlap a little
        dts = max(dts, math.ceil(copy.last_dts[kind] / base))
    packet.dts, packet.pts = dts, max(packet.pts + shift, dts)
    copy.last_dts[kind] = dts * base
    packet.stream = copy.streams[kind]
    copy.container.mux(packet)
