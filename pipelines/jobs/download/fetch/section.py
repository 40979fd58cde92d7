"""A section of a remote file, copied packet by packet into a file of its own.

The file is read through this process's own guarded connections, so that no address, header or proxy
ever stands on another program's command line, and hosts, bytes and time are held as everywhere.
"""

from pathlib import Path

import av
import av.error

from pipelines.jobs.download.fetch.remote import RemoteReader
from pipelines.media.containers import DEMUXERS
from pipelines.media.streams import choose_streams
from schemas import KnownError, Reason

SHIFT_S = 10.0
"""Second of the section file at which second 0 of its source lies: no packet is before 0."""
MARGIN_S = 1.0
"""Packets are copied for so long after the section's end, for frames that are out of order."""


def copy_section(source: RemoteReader, start_s: float, end_s: float, target: Path) -> None:
    """Copy the packets of the best tracks from the key frame before `start_s` to `end_s`.

    Raises `KnownError` `format` where the file cannot be read in parts.
    """
    options = {"protocol_whitelist": "", "format_whitelist": ",".join(DEMUXERS)}
    try:
        with (
            av.open(source, "r", metadata_errors="replace", options=options) as container,
            av.open(str(target), "w", format="matroska") as copy,
        ):
            _copy_packets(container, copy, start_s, end_s)
    except av.error.FFmpegError as error:
        raise KnownError(
            Reason.FORMAT, f"no section can be read: {error.strerror or error}"
        ) from None


def _copy_packets(
    container: "av.container.InputContainer",
    copy: "av.container.OutputContainer",
    start_s: float,
    end_s: float,
) -> None:
    origin = (container.start_time or 0) / av.time_base
    streams = [stream for stream in choose_streams(container) if stream is not None]
    copies = {stream.index: copy.add_stream_from_template(stream) for stream in streams}
    if start_s > 0:
        container.seek(int((origin + start_s) * av.time_base))
    unfinished = set(copies)
    for packet in container.demux(streams):
        if packet.pts is None or packet.dts is None or packet.time_base is None:
            continue
        if float(packet.pts * packet.time_base) - origin > end_s + MARGIN_S:
            unfinished.discard(packet.stream_index)
            if not unfinished:
                return
            continue
        shift = round((SHIFT_S - origin) / packet.time_base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        packet.stream = copies[packet.stream_index]
        copy.mux(packet)
