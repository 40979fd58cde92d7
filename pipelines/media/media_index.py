"""Which file holds which clip: `<video_id>_<start>_<end>.<ext>` or `<video_id>.<ext>`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from schemas import Clip
from schemas.media_names import clip_name, is_media


@dataclass(frozen=True, slots=True)
class MediaFile:
    """The file of a clip."""

    uri: str
    cut: bool
    """True when the file's name carries the clip's start and end: it is the clip itself."""


class MediaIndex:
    """Media files of a folder and of the folders in it, by name.

    A file is found by its path in the folder without the ending (`dog/bark`), or by its name alone
    (`bark`). Of two files with one name the first in the order of their paths is taken.
    """

    def __init__(self, uris: Iterable[str], folder: str = "") -> None:
        """Index files by URI or path; `folder` is what their paths are relative to."""
        self._by_path: dict[str, str] = {}
        self._by_name: dict[str, str] = {}
        self.others: list[str] = []
        """Paths in the folder of the files that are not taken for media, sorted."""
        root = folder.rstrip("/") + "/"
        for uri in sorted(uris):
            path = uri.removeprefix(root)
            if is_media(path):
                name = clip_name(path)
                self._by_path.setdefault(name, uri)
                self._by_name.setdefault(PurePosixPath(name).name, uri)
            elif not PurePosixPath(path).name.startswith("."):
                self.others.append(path)

    def __len__(self) -> int:
        return len(self._by_path)

    def names(self) -> list[str]:
        """Return the paths of the files in the folder, without their endings, sorted."""
        return sorted(self._by_path)

    def uri(self, name: str) -> str:
        """Return the file of a path or name; KeyError when there is none."""
        return self._by_path.get(name) or self._by_name[name]

    def find(self, clip: Clip) -> MediaFile | None:
        """Return the file of a clip, or None."""
        for name, cut in ((clip.key, True), (clip.video_id, False)):
            uri = self._by_path.get(name) or self._by_name.get(name)
            if uri is not None:
                return MediaFile(uri, cut)
        return None
