"""Where annotation files are published, and their sha256.

The addresses of DCASE 2017 are those of fixed commits, because its files have moved since.
"""

from pathlib import Path

from schemas.failure import UsageError
from schemas.manifests import DATASETS, reader
from schemas.messages import quoted
from schemas.published import PublishedFile, fetch, sha256_of

LLP = "https://raw.githubusercontent.com/YapengTian/AVVP-ECCV20/HEAD/data/"
AVE = "https://raw.githubusercontent.com/YapengTian/AVE-ECCV18/HEAD/data/"
AUDIOSET = "https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/"
DCASE = (
    "https://raw.githubusercontent.com/ankitshah009/"
    "Task-4-Large-scale-weakly-supervised-sound-event-detection-for-smart-cars/"
)


def _files(folder: str, sha256: dict[str, str]) -> tuple[PublishedFile, ...]:
    """Return the files of one address, which ends in `/`; empty where there is no address."""
    return tuple(
        PublishedFile(name, folder and folder + name, digest) for name, digest in sha256.items()
    )


SOURCES: dict[str, tuple[PublishedFile, ...]] = {
    "llp": _files(
        LLP,
        {
            "AVVP_train.csv":
                "bbeb83e8af46a85075216b213d3464f92dd4ab71468c852ae454b82cc745c0a4",
            "AVVP_val_pd.csv":
                "1811813b54c5f43c3be0a97bd0971cfb8a93818ca7b3ab96cdc7f4ac37ef37a6",
            "AVVP_test_pd.csv":
                "3f7a2b040e3b67c15d08efef25002bf8c5b2320f11049eb99ae0eb2d62f8eb9b",
            "AVVP_eval_audio.csv":
                "d5435664668bec6e7eafb39059d2f424ed2682f6b55395262fc3cb691b7d0778",
            "AVVP_eval_visual.csv":
                "e2274af694f3f27e38b840e0cd91a9d8d9ac85280f193e90828d26b22db69abe",
        },
    ),
    "audioset": _files(
        AUDIOSET,
        {
            "class_labels_indices.csv":
                "cdd1049833c4b86127c2773ac0d14a2754b6a6d0d1798002ed5c66e699708429",
            "balanced_train_segments.csv":
                "3b83e5ff9ed72cfda37d4e36ce08250e107c1ea70f109f6ab6668ac200db5e94",
            "eval_segments.csv":
                "f7055f53935f70e74e39494a5c8c4c78f1700fce275028bd36e31186f33d45db",
        },
    ),
    "dcase2017": (
        *_files(
            DCASE + "0dd75f6445a54384d845490671d5dc6a163f617a/",
            {
                "groundtruth_weak_label_training_set.csv":
                    "b2d5ee10461c0ef9b21cb22eeb45c9959a02c8d2d0a17417344963c4473fec3e",
                "groundtruth_weak_label_testing_set.csv":
                    "21490d3ddf582e5f267c4d576316be8523ace95a302a394130759d46056fd4e4",
            },
        ),
        *_files(
            DCASE + "2127761812763b95f6c000a1a7db73992b489412/groundtruth_release/",
            {
                "groundtruth_weak_label_evaluation_set.csv":
                    "a275dcfd040b77fa1e8bd2687e583988a9169ba2e02b97e633e5d2347011592a",
            },
        ),
        *_files(
            DCASE + "933ae09032d6083001c06ef79d571dede6e6d536/groundtruth_release/",
            {
                "groundtruth_strong_label_evaluation_set.csv":
                    "374d8d12aacd5bf91e4efe6bdec1d23e0585816859ac0f10b2d933c6a8930c3b",
            },
        ),
        *_files(
            DCASE + "9ba53c200a092fada53ca0c973129314d7534b4d/groundtruth_release/",
            {
                "groundtruth_strong_label_testing_set.csv":
                    "5a180633a891b2bc95365d6cca4b54de39ae8787115b33e664ccf3c772275514",
            },
        ),
    ),
    "ave": _files(
        AVE,
        {
            "Annotations.txt":
                "0d24a9ec5cd4ceb779ebd83d74e83ec8e55c5e468cede3f320fb57346c9dd321",
            "train_order.h5":
                "a216fcdd02782ba9d10c9ea79116120eb3be467740e58290e1b340d42a590456",
            "val_order.h5":
                "5692aec0efb30e4efa49a867a902c1993b4c88a7d3ec19879349e540e7a5d9ca",
            "test_order.h5":
                "f9bb79defc1f784ca5dda9cdd3ee52af6d24ccb399a1cfab6bf0d373f5681076",
        },
    ),
    "kinetics-instruments": _files(
        "",
        {
            "kinetics-400_val.csv":
                "358eaf47e7f80ebf9b17d49eb0635ad5e0fdab98a9cbd75ffdd2ee5d5e5b6944",
        },
    ),
}  # fmt: skip
"""Files of each data set that can be checked. AudioSet's unbalanced list is not among them (no
hash is known for it) and is read when it lies in the folder."""


def fetch_annotations(dataset: str, cache_dir: Path | str) -> Path:
    """Return the folder `cache_dir/dataset` with every file of the data set.

    A file that is there with the right sha256 is kept; others are downloaded. `UsageError`, one
    sentence with file, address and folder, when a file cannot be had.
    """
    if dataset not in SOURCES:
        home = reader(dataset).HOME if dataset in DATASETS else "?"
        raise UsageError(
            f"data set {quoted(dataset)} has no published annotation files ({home}); "
            f"give their folder; published are those of {', '.join(SOURCES)}"
        )
    folder = Path(cache_dir) / dataset
    for file in SOURCES[dataset]:
        path = folder / file.name
        if path.is_file() and sha256_of(path) == file.sha256:
            continue
        if not file.address:
            raise UsageError(
                f"{file.name} of data set {dataset} has no address to download it from; "
                f"put it into a folder and give that folder as the annotations, or into {folder} "
                f"with the sha256 {file.sha256}"
            )
        fetch(file, folder)
    return folder
