"""Where annotation files are published, their sha256, and a download that checks it.

The addresses of DCASE 2017 are those of a fixed commit, because its files have moved since.
"""

import hashlib
import http.client
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from schemas.failure import UsageError

TIMEOUT_S = 60.0
"""Seconds without an answer after which a download gives up."""


@dataclass(frozen=True, slots=True)
class Source:
    """One published annotation file."""

    name: str
    """Its name in the annotation folder."""
    sha256: str
    address: str = ""
    """Where it is published; empty when it has to be put into the folder by hand."""


LLP = "https://raw.githubusercontent.com/YapengTian/AVVP-ECCV20/HEAD/data/"
AVE = "https://raw.githubusercontent.com/YapengTian/AVE-ECCV18/HEAD/data/"
AUDIOSET = "https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/"
DCASE = (
    "https://raw.githubusercontent.com/ankitshah009/"
    "Task-4-Large-scale-weakly-supervised-sound-event-detection-for-smart-cars/"
)

HOMES = {
    "llp": "published at github.com/YapengTian/AVVP-ECCV20, folder data",
    "audioset": "published at research.google.com/audioset/download.html",
    "dcase2017": "published at github.com/ankitshah009/Task-4-Large-scale-weakly-supervised-"
    "sound-event-detection-for-smart-cars, in its root and in groundtruth_release",
    "ave": "published at github.com/YapengTian/AVE-ECCV18, folder data",
    "kinetics-instruments": "the lists of Kinetics-400, to be put there by hand",
    "demo": "written by the demo's generator; run the features job with the data set demo",
    "folder": "yours",
}
"""Where each data set's files come from, for error messages."""


def published(dataset: str) -> str:
    """Half a sentence on where the annotation files of a data set come from."""
    return HOMES[dataset]


SOURCES: dict[str, tuple[Source, ...]] = {
    "llp": (
        Source(
            "AVVP_train.csv",
            "bbeb83e8af46a85075216b213d3464f92dd4ab71468c852ae454b82cc745c0a4",
            LLP + "AVVP_train.csv",
        ),
        Source(
            "AVVP_val_pd.csv",
            "1811813b54c5f43c3be0a97bd0971cfb8a93818ca7b3ab96cdc7f4ac37ef37a6",
            LLP + "AVVP_val_pd.csv",
        ),
        Source(
            "AVVP_test_pd.csv",
            "3f7a2b040e3b67c15d08efef25002bf8c5b2320f11049eb99ae0eb2d62f8eb9b",
            LLP + "AVVP_test_pd.csv",
        ),
        Source(
            "AVVP_eval_audio.csv",
            "d5435664668bec6e7eafb39059d2f424ed2682f6b55395262fc3cb691b7d0778",
            LLP + "AVVP_eval_audio.csv",
        ),
        Source(
            "AVVP_eval_visual.csv",
            "e2274af694f3f27e38b840e0cd91a9d8d9ac85280f193e90828d26b22db69abe",
            LLP + "AVVP_eval_visual.csv",
        ),
    ),
    "audioset": (
        Source(
            "class_labels_indices.csv",
            "cdd1049833c4b86127c2773ac0d14a2754b6a6d0d1798002ed5c66e699708429",
            AUDIOSET + "class_labels_indices.csv",
        ),
        Source(
            "balanced_train_segments.csv",
            "3b83e5ff9ed72cfda37d4e36ce08250e107c1ea70f109f6ab6668ac200db5e94",
            AUDIOSET + "balanced_train_segments.csv",
        ),
        Source(
            "eval_segments.csv",
            "f7055f53935f70e74e39494a5c8c4c78f1700fce275028bd36e31186f33d45db",
            AUDIOSET + "eval_segments.csv",
        ),
    ),
    "dcase2017": (
        Source(
            "groundtruth_weak_label_training_set.csv",
            "b2d5ee10461c0ef9b21cb22eeb45c9959a02c8d2d0a17417344963c4473fec3e",
            DCASE
            + "0dd75f6445a54384d845490671d5dc6a163f617a/"
            + "groundtruth_weak_label_training_set.csv",
        ),
        Source(
            "groundtruth_weak_label_testing_set.csv",
            "21490d3ddf582e5f267c4d576316be8523ace95a302a394130759d46056fd4e4",
            DCASE
            + "0dd75f6445a54384d845490671d5dc6a163f617a/"
            + "groundtruth_weak_label_testing_set.csv",
        ),
        Source(
            "groundtruth_weak_label_evaluation_set.csv",
            "a275dcfd040b77fa1e8bd2687e583988a9169ba2e02b97e633e5d2347011592a",
            DCASE
            + "2127761812763b95f6c000a1a7db73992b489412/groundtruth_release/"
            + "groundtruth_weak_label_evaluation_set.csv",
        ),
        Source(
            "groundtruth_strong_label_evaluation_set.csv",
            "374d8d12aacd5bf91e4efe6bdec1d23e0585816859ac0f10b2d933c6a8930c3b",
            DCASE
            + "933ae09032d6083001c06ef79d571dede6e6d536/groundtruth_release/"
            + "groundtruth_strong_label_evaluation_set.csv",
        ),
        Source(
            "groundtruth_strong_label_testing_set.csv",
            "5a180633a891b2bc95365d6cca4b54de39ae8787115b33e664ccf3c772275514",
            DCASE
            + "9ba53c200a092fada53ca0c973129314d7534b4d/groundtruth_release/"
            + "groundtruth_strong_label_testing_set.csv",
        ),
    ),
    "ave": (
        Source(
            "Annotations.txt",
            "0d24a9ec5cd4ceb779ebd83d74e83ec8e55c5e468cede3f320fb57346c9dd321",
            AVE + "Annotations.txt",
        ),
        Source(
            "train_order.h5",
            "a216fcdd02782ba9d10c9ea79116120eb3be467740e58290e1b340d42a590456",
            AVE + "train_order.h5",
        ),
        Source(
            "val_order.h5",
            "5692aec0efb30e4efa49a867a902c1993b4c88a7d3ec19879349e540e7a5d9ca",
            AVE + "val_order.h5",
        ),
        Source(
            "test_order.h5",
            "f9bb79defc1f784ca5dda9cdd3ee52af6d24ccb399a1cfab6bf0d373f5681076",
            AVE + "test_order.h5",
        ),
    ),
    "kinetics-instruments": (
        Source(
            "kinetics-400_val.csv",
            "358eaf47e7f80ebf9b17d49eb0635ad5e0fdab98a9cbd75ffdd2ee5d5e5b6944",
        ),
    ),
}
"""Files of each data set that can be checked. AudioSet's unbalanced list is not among them (no
hash is known for it) and is read when it lies in the folder."""


def fetch_annotations(dataset: str, cache_dir: Path | str) -> Path:
    """The folder `cache_dir/dataset` with every file of the data set, downloaded where needed.

    A file that is there with the right sha256 is kept; a new one is written whole or not at all.
    `UsageError`, one sentence with file, address and folder, when a file cannot be had.
    """
    if dataset not in SOURCES:
        raise UsageError(
            f"data set {dataset!r} has no published annotation files ({HOMES.get(dataset, '?')}); "
            f"give their folder; published are those of {', '.join(SOURCES)}"
        )
    folder = Path(cache_dir) / dataset
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cache folder {folder} cannot be made: {error.strerror}") from None
    for source in SOURCES[dataset]:
        target = folder / source.name
        if target.is_file() and sha256_of(target) == source.sha256:
            continue
        if not source.address:
            raise UsageError(
                f"{source.name} of data set {dataset} has no address to download it from; "
                f"put it into a folder and give that folder as the annotations, or into {folder} "
                f"with the sha256 {source.sha256}"
            )
        download(source, target)
    return folder


def sha256_of(path: Path) -> str:
    """The sha256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(source: Source, target: Path) -> None:
    """Put one published file at `target`, atomically, after its sha256 is found right."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    by_hand = f"put the file into {target.parent} by hand"
    try:
        with urllib.request.urlopen(source.address, timeout=TIMEOUT_S) as answer:
            part.write_bytes(answer.read())
        found = sha256_of(part)
        if found != source.sha256:
            raise UsageError(
                f"{source.address} gave another {source.name} than the known one (sha256 {found}, "
                f"expected {source.sha256}); {by_hand}"
            )
        part.replace(target)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UsageError(
            f"{source.name} could not be downloaded from {source.address} ({reason}); {by_hand}"
        ) from None
    finally:
        part.unlink(missing_ok=True)
