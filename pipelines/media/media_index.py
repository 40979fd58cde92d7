"""Which file holds which clip: `<video_id>_<start>_<end>.<ext>` or `<video_id>.<ext>`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from schemas import Clip
from schemas.manifests.folder import MEDIA_SUFFIXES


@dataclass(frozen=True, slots=True)
class MediaFile:
    """The file of a clip."""

    uri: str
    cut: bool
    """True when the file's name carries the clip's start and end: it is the clip itself."""


class MediaIndex:
    """Media files by stem. Of two files with one stem the first by name is taken."""

    def __init__(self, uris: Iterable[str]) -> None:
        self._by_stem: dict[str, str] = {}
        for uri in sorted(uris):
            name = PurePosixPath(uri)
            if name.suffix.lower() in MEDIA_SUFFIXES and not name.name.startswith("."):
                self._by_stem.setdefault(name.stem, uri)

    def __len__(self) -> int:
        return len(self._by_stem)

    def stems(self) -> list[str]:
        """Names of the files without their endings, sorted."""
        return sorted(self._by_stem)

    def uri(self, stem: str) -> str:
        """The file of a stem; KeyError when there is none."""
        return self._by_stem[stem]

    def find(self, clip: Clip) -> MediaFile | None:
        """The file of a clip, or None."""
        if clip.key in self._by_stem:
            return MediaFile(self._by_stem[clip.key], cut=True)
        if clip.video_id in self._by_stem:
            return MediaFile(self._by_stem[clip.video_id], cut=False)
        return None
