"""What time it is in fragments: the clock of their packets against the times of the playlist.

Fragments carry a clock of their own that starts anywhere; only the first fragment of a run tells
where. So it is fetched beside those that cover a clip, and the frame with which it begins is the
run's beginning.
"""

from dataclasses import dataclass
from pathlib import Path

from pipelines.jobs.download.fetch.fragments.client import FragmentClient
from pipelines.jobs.download.fetch.fragments.rendition import Rendition
from pipelines.media.containers import open_media
from pipelines.media.streams import choose_streams
from schemas import KnownError, Reason

READ_TIMEOUT_S = 30.0
_WRAP_S = 2.0**33 / 90_000
"""After so long the clock of MPEG-TS starts at 0 again."""
_PRIMING_S = 0.1
"""What an audio encoder puts before the first sample is no longer than this."""
_SAME_CLOCK_S = 5.0
"""Sound that is kept apart begins so near to its video when both go by one clock."""
_WITHOUT_CLOCK = frozenset({"aac", "mp3", "ac3", "eac3"})


@dataclass(frozen=True)
class FirstTimes:
    """The moments by its own clock at which a file's picture and sound begin, in seconds."""

    container: str
    video_s: float | None
    audio_s: float | None

    @property
    def begins_s(self) -> float:
        """Return the moment at which the video begins: its first frame, or sound long before."""
        if self.video_s is None or self.audio_s is None:
            return self.video_s if self.video_s is not None else self.audio_s or 0.0
        before = self.audio_s < self.video_s - _PRIMING_S
        return self.audio_s if before else self.video_s

    @property
    def has_clock(self) -> bool:
        """Tell whether the file says more than how its packets follow each other."""
        return self.container not in _WITHOUT_CLOCK


class FragmentSource:
    """A rendition, what fetches it, and what was learnt of its clock."""

    def __init__(self, rendition: Rendition, client: FragmentClient, folder: Path) -> None:
        """Join fragments into files in `folder`, which is this source's alone."""
        self.rendition, self._client, self._folder = rendition, client, folder
        self._times: dict[int, FirstTimes] = {}
        folder.mkdir(exist_ok=True)

    def join(self, first: int, last: int) -> Path:
        """Fetch fragments `first` to `last` of one run; return them as one file."""
        path = self._folder / "joined.media"
        fragments = self.rendition.fragments[first : last + 1]
        init = self._client.init(fragments[0])
        with path.open("wb") as file:
            for part in (init, *map(self._client.fragment, fragments)):
                file.write(part.read_bytes() if part is not None else b"")
        return path

    def first_times(self, number: int) -> FirstTimes:
        """Return where the clock stands at the beginning of a fragment."""
        if number not in self._times:
            self._times[number] = _first_times(self.join(number, number))
        return self._times[number]

    def head_of_run(self, run: int) -> int | None:
        """Return the first fragment of a run; None for a run that the rendition has not."""
        fragments = self.rendition.fragments
        return next((n for n, fragment in enumerate(fragments) if fragment.run == run), None)


def shift_of(source: FragmentSource, sources: list[FragmentSource], first: int) -> float:
    """Return what must be added to the clock of fragment `first` for seconds of the video."""
    fragment, times = source.rendition.fragments[first], source.first_times(first)
    if not times.has_clock:
        return fragment.start_s
    shift_s = _shift_of_run(source, sources, source.rendition.head(first))
    off_s = fragment.start_s - (times.begins_s + shift_s)
    return shift_s + _whole_turns_s(times, off_s)


def check_clock(source: FragmentSource, number: int, shift_s: float) -> None:
    """Raise `KnownError` `corrupt` unless the clock of a fragment fits the playlist."""
    fragment, times = source.rendition.fragments[number], source.first_times(number)
    begins_s = times.begins_s + shift_s
    begins_s += _whole_turns_s(times, fragment.start_s - begins_s)
    off_s = abs(begins_s - fragment.start_s)
    if times.has_clock and off_s > source.rendition.tolerance_s(number):
        raise KnownError(
            Reason.CORRUPT,
            f"the fragment at {fragment.start_s:.1f} s of the playlist begins at {begins_s:.1f} s "
            "by its own clock",
        )


def _whole_turns_s(times: FirstTimes, off_s: float) -> float:
    return round(off_s / _WRAP_S) * _WRAP_S if times.container == "mpegts" else 0.0


def _shift_of_run(source: FragmentSource, sources: list[FragmentSource], head: int) -> float:
    """Return playlist minus clock at a run's beginning, the same for all that share a clock."""
    run, own = source.rendition.fragments[head].run, source.first_times(head)
    video_s, audio_s, start_s = None, None, None
    for other in sources:
        place = head if other is source else other.head_of_run(run)
        times = other.first_times(place) if place is not None else None
        if place is None or times is None or not times.has_clock:
            continue
        if abs(times.begins_s - own.begins_s) > _SAME_CLOCK_S:
            continue
        video_s = times.video_s if video_s is None else video_s
        audio_s = times.audio_s if audio_s is None else audio_s
        start_s = other.rendition.fragments[place].start_s if start_s is None else start_s
    assert start_s is not None  # the source itself is among them
    return start_s - FirstTimes(own.container, video_s, audio_s).begins_s


def _first_times(path: Path) -> FirstTimes:
    """Read the first key frame and the first sound of a file."""
    with open_media(path, READ_TIMEOUT_S) as container:
        streams = [stream for stream in choose_streams(container) if stream is not None]
        waiting = {stream.index: stream.type for stream in streams}
        found: dict[str, float] = {}
        for packet in container.demux(streams):
            kind = waiting.get(packet.stream_index)
            if kind is None or packet.pts is None or packet.time_base is None:
                continue
            if kind == "video" and not packet.is_keyframe:
                continue
            found[kind] = float(packet.pts * packet.time_base)
            waiting.pop(packet.stream_index)
            if not waiting:
                break
        if not found:
            raise KnownError(Reason.CORRUPT, "a fragment holds no packet of video or audio")
        name = container.format.name
    return FirstTimes(name, found.get("video"), found.get("audio"))
