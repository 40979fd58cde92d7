"""Published weights: where they are, what they must hash to, and how a missing one is reported.

A file is looked for in the folder that the user gives, then in the cache folder, then at its
published address. torchvision publishes the first 8 hex digits of each file's sha256 in its name,
and Google publishes none for VGGish. So what is published is pinned, and the full sha256 of every
file that was read goes into the provenance of the data.
"""

import hashlib
import logging
import os
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from schemas.failure import UsageError
from schemas.recipe import Recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One published file, or a folder published as an archive."""

    name: str
    """Name below the weights folder."""
    address: str
    """Where it is published."""
    sha256: str = ""
    """The sha256 or its published first digits; empty where none is published."""
    holds: tuple[str, ...] = ()
    """For a folder: the files in it whose sha256 is recorded. Empty for a plain file."""


WEIGHTS = {
    "resnet152": WeightFile(
        "resnet152-394f9c45.pth",
        "https://download.pytorch.org/models/resnet152-394f9c45.pth",
        "394f9c45",
    ),
    "r2plus1d": WeightFile(
        "r2plus1d_18-91a641e6.pth",
        "https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",
        "91a641e6",
    ),
    "vggish": WeightFile(
        "vggish",
        "https://tfhub.dev/google/vggish/1?tf-hub-format=compressed",
        holds=(
            "saved_model.pb",
            "variables/variables.index",
            "variables/variables.data-00000-of-00001",
        ),
    ),
    "vggish_pca": WeightFile(
        "vggish_pca_params.npz",
        "https://storage.googleapis.com/audioset/vggish_pca_params.npz",
    ),
    "structured_edges": WeightFile(
        "model.yml.gz",
        "https://github.com/opencv/opencv_extra/raw/4.x/testdata/cv/ximgproc/model.yml.gz",
    ),
}
"""Every published file that an extractor may read."""


def cache_folder() -> Path:
    """Return the platform's cache folder for this program (not created)."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "earsight"
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(base) if base else home / ".cache") / "earsight"


def find_weights(file: WeightFile, weights_dir: Path | None = None) -> tuple[Path, dict[str, str]]:
    """Return the path of a weight file and the sha256 of each file read, downloading if need be.

    Raises `UsageError` when it is nowhere and cannot be fetched, or when its hash is wrong.
    """
    folders = [weights_dir] if weights_dir is not None else []
    for folder in [*folders, cache_folder() / "weights"]:
        path = folder / file.name
        if path.exists():
            return path, _verified(file, path)
    path = _download(file, weights_dir)
    return path, _verified(file, path)


def missing_weights(file: WeightFile, weights_dir: Path | None = None) -> bool:
    """Whether a file would have to be downloaded; touches no network and reads no bytes."""
    folders = [weights_dir] if weights_dir is not None else []
    return not any((f / file.name).exists() for f in [*folders, cache_folder() / "weights"])


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _verified(file: WeightFile, path: Path) -> dict[str, str]:
    """Return the sha256 of each file behind `path`, or raise `UsageError`."""
    if file.holds:
        absent = [name for name in file.holds if not (path / name).is_file()]
        if absent:
            raise UsageError(
                f"{path} should hold {', '.join(file.holds)} but lacks {', '.join(absent)}; "
                f"unpack {file.address} there"
            )
        return {f"{file.name}/{name}": _sha256(path / name) for name in file.holds}
    found = _sha256(path)
    if not found.startswith(file.sha256):
        raise UsageError(
            f"{path} has sha256 {found}, expected {file.sha256}...; "
            f"delete it and fetch {file.address} again"
        )
    return {file.name: found}


def _download(file: WeightFile, weights_dir: Path | None) -> Path:
    """Fetch a file into the cache folder under a temporary name, check it, then rename it."""
    folder = cache_folder() / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as scratch:
        fetched = Path(scratch) / "fetched"
        log.info("fetching %s from %s", file.name, file.address)
        try:
            with (
                urllib.request.urlopen(file.address, timeout=60) as source,
                fetched.open("wb") as sink,
            ):
                shutil.copyfileobj(source, sink, length=1 << 20)
        except (urllib.error.URLError, OSError) as error:
            raise UsageError(
                f"weights {file.name} are missing and {file.address} cannot be reached ({error}); "
                f"fetch it on a machine with network and put it into {weights_dir or folder}, or "
                "use --weights seeded for random weights"
            ) from None
        if file.holds:
            unpacked = Path(scratch) / file.name
            try:
                with tarfile.open(fetched) as archive:
                    archive.extractall(unpacked, filter="data")
            except tarfile.TarError as error:
                raise UsageError(f"{file.address} gave no archive ({error})") from None
            fetched = unpacked
        _verified(file, fetched)
        target = folder / file.name
        if not target.exists():
            fetched.rename(target)
    return target


def weights_of(recipe: Recipe) -> list[WeightFile]:
    """Every file that the extractors of a recipe read; empty for seeded weights."""
    if recipe.weights != "pretrained":
        return []
    names = {feature.net for feature in recipe.features()} - {""}
    if recipe.vggish_pca and "vggish" in names:
        names.add("vggish_pca")
    if recipe.proposals_edges == "structured" and "proposals" in recipe.extractors:
        names.add("structured_edges")
    return [WEIGHTS[name] for name in sorted(names)]
