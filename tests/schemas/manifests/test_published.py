"""Facts of the published annotation files, as the readers give them."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from schemas import Clip, Event, second_grid
from schemas.events import Modality
from schemas.manifests import read_events, read_manifest, vocabulary

FOLDERS = {
    "llp": "llp",
    "audioset": "audioset",
    "dcase2017": "dcase2017_task4",
    "ave": "ave",
    "kinetics-instruments": "kinetics",
}
COUNTS = {
    "llp": {"train": 10_000, "val": 649, "test": 1_200},
    "audioset": {"balanced_train": 22_160, "eval": 20_371},
    "dcase2017": {"train": 51_172, "val": 488, "test": 1_103},
    "ave": {"train": 3_339, "val": 402, "test": 402},
    "kinetics-instruments": {"val": 1_097},
}


def place(shared: Path, dataset: str) -> Path:
    return shared / "annotations" / FOLDERS[dataset]


def label_counts(shared: Path, dataset: str, split: str) -> list[int]:
    """How many clips have each class, in class order."""
    counts = Counter(
        label for clip in read_manifest(dataset, place(shared, dataset), split)
        for label in clip.labels
    )  # fmt: skip
    return [counts[name] for name in vocabulary(dataset, place(shared, dataset)).names]


@pytest.mark.parametrize("dataset", FOLDERS)
def test_all_splits_are_the_splits_one_after_the_other_without_repeated_keys(
    shared: Path, dataset: str, caplog: pytest.LogCaptureFixture
) -> None:
    clips = list(read_manifest(dataset, place(shared, dataset)))
    parts = [
        clip
        for split in COUNTS[dataset]
        for clip in read_manifest(dataset, place(shared, dataset), split)
    ]
    assert clips == parts
    assert dict(Counter(clip.split for clip in clips)) == COUNTS[dataset]
    assert len({clip.key for clip in clips}) == len(clips)
    known = set(vocabulary(dataset, place(shared, dataset)).names)
    assert all(clip.labels and known.issuperset(clip.labels) for clip in clips)
    assert not caplog.records


def test_llp_labels(shared: Path) -> None:
    folder = place(shared, "llp")
    means = {
        split: np.mean([len(clip.labels) for clip in read_manifest("llp", folder, split)])
        for split in ("train", "val", "test")
    }
    assert {split: round(float(mean), 3) for split, mean in means.items()} == {
        "train": 1.606, "val": 1.803, "test": 1.815
    }  # fmt: skip
    # One test line says Clapping twice: 1.816 labels a clip and 7,202 clips of several with it.
    assert sum(len(clip.labels) > 1 for clip in read_manifest("llp", folder)) == 7_201
    (twice,) = [c for c in read_manifest("llp", folder) if c.key == "LcFWKgFphXI_20_30"]
    assert twice.labels == ("Clapping",)
    assert label_counts(shared, "llp", "train") == [
        4988, 624, 528, 761, 192, 343, 455, 218, 299, 602, 186, 1172, 437, 1457, 495, 146, 445, 224,
        411, 587, 503, 99, 430, 291, 164,
    ]  # fmt: skip


def test_llp_names_are_kept_whole_and_read_from_the_right(shared: Path) -> None:
    folder = place(shared, "llp")
    clips = {clip.key: clip for clip in read_manifest("llp", folder)}
    table = (folder / "AVVP_dataset_full.csv").read_text().splitlines()[1:]
    full = {row.split("\t")[0]: row.split("\t")[1] for row in table}
    assert clips.keys() == full.keys()
    assert all(clip.labels == tuple(dict.fromkeys(full[k].split(","))) for k, clip in clips.items())
    assert all(len(clip.video_id) == 11 for clip in clips.values())
    assert all(round(clip.end_s - clip.start_s, 6) == 10 for clip in clips.values())
    fractional = [clip for clip in clips.values() if clip.start_s % 1]
    assert len(fractional) == 5
    assert all(f"{c.video_id}_{c.start_s:g}_{c.end_s:g}" == c.key for c in clips.values())


def test_llp_truth_has_its_known_defects(shared: Path) -> None:
    folder = place(shared, "llp")
    events = list(read_events("llp", folder))
    keys = {clip.key for clip in read_manifest("llp", folder)}
    rows = Counter(event.modality for event in events)
    assert rows == {"audio": 4_131, "visual": 2_495}
    orphans = {(event.modality, event.clip_key) for event in events if event.clip_key not in keys}
    assert Counter(modality for modality, _ in orphans) == {"audio": 8, "visual": 7}
    empty = [event for event in events if event.onset_s >= event.offset_s]
    assert len(empty) == 6
    assert Event("8DF2PxdT5tE_390_400", "audio", 9.0, 0.0, "Cheering") in empty


def test_llp_repaired_truth_belongs_to_clips_and_covers_time(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = place(shared, "llp")
    raw = list(read_events("llp", folder))
    with caplog.at_level(logging.WARNING):
        repaired = list(read_events("llp", folder, repair=True))
    keys = {clip.key for clip in read_manifest("llp", folder)}
    assert repaired == [e for e in raw if e.clip_key in keys and e.onset_s < e.offset_s]
    assert "8 name(s) that match no clip" in caplog.text
    assert "5 event(s) that cover no time" in caplog.text
    # This name is the end of 1-VMTJRpjbE_150_160, whose labels (Speech, Fire_alarm) it contradicts.
    assert "VMTJRpjbE_150_160" in caplog.text


def llp_grids(shared: Path) -> tuple[list[Clip], dict[Modality, np.ndarray]]:
    folder = place(shared, "llp")
    clips = list(read_manifest("llp", folder, "test"))
    events = list(read_events("llp", folder, "test"))
    keys = [clip.key for clip in clips]
    names = vocabulary("llp", folder)
    modalities: tuple[Modality, ...] = ("audio", "visual")
    return clips, {m: second_grid(events, keys, names, m) for m in modalities}


def test_llp_grid_equals_the_truth_of_the_authors_evaluation(shared: Path) -> None:
    clips, grids = llp_grids(shared)
    golden = np.load(shared / "golden" / "llp_metrics.npz")
    row = {clip.key: index for index, clip in enumerate(clips)}
    order = [row[str(name)] for name in golden["filenames"]]
    assert tuple(golden["categories"]) == vocabulary("llp", place(shared, "llp")).names
    np.testing.assert_array_equal(grids["audio"][order], golden["gt_audio"])
    np.testing.assert_array_equal(grids["visual"][order], golden["gt_visual"])
    weak = vocabulary("llp", place(shared, "llp")).multi_hot([clip.labels for clip in clips])
    np.testing.assert_array_equal(weak[order].astype(bool), golden["weak_labels"])


def test_llp_positive_seconds_and_clips_without_events(shared: Path) -> None:
    _, grids = llp_grids(shared)
    both = grids["audio"] & grids["visual"]
    grid = (grids["audio"], grids["visual"], both)
    assert [int(g.sum()) for g in grid] == [14_576, 11_789, 9_592]
    assert [int((~g.any(axis=(1, 2))).sum()) for g in grid] == [6, 121, 174]


def test_llp_train_has_no_events(shared: Path) -> None:
    assert list(read_events("llp", place(shared, "llp"), "train")) == []
    val = {event.clip_key for event in read_events("llp", place(shared, "llp"), "val")}
    assert val <= {clip.key for clip in read_manifest("llp", place(shared, "llp"), "val")}
    assert len(val) > 600


@pytest.mark.parametrize(
    ("split", "counts"),
    [
        ("train", [345, 313, 180, 245, 1897, 1516, 524, 2288, 1409, 2364, 636, 25077, 3598, 3617,
                   6885, 3162, 2075]),
        ("val", [30, 30, 30, 30, 30, 30, 32, 35, 31, 35, 30, 60, 32, 31, 60, 30, 50]),
        ("test", [60, 58, 59, 59, 59, 59, 60, 59, 59, 62, 59, 265, 60, 58, 100, 60, 154]),
    ],
)  # fmt: skip
def test_dcase_positives_per_class(shared: Path, split: str, counts: list[int]) -> None:
    assert label_counts(shared, "dcase2017", split) == counts


def test_dcase_labels_agree_with_the_mids_of_the_lists(shared: Path) -> None:
    folder = place(shared, "dcase2017")
    rows = (folder / "sound_event_list_17_classes.txt").read_text().splitlines()[1:]
    name_of_mid = {row.split("\t")[0]: row.split("\t")[2] for row in rows}
    assert tuple(name_of_mid.values()) == vocabulary("dcase2017", folder).names
    labels = {clip.key: set(clip.labels) for clip in read_manifest("dcase2017", folder, "train")}
    for line in (folder / "training_set.csv").read_text().splitlines():
        video_id, start, end, rest = line.split(",", 3)
        mids = [mid.strip('"') for mid in rest.split(",") if mid.strip('"')[:3] in ("/m/", "/t/")]
        key = Clip(video_id, float(start), float(end)).key
        assert labels.pop(key) == {name_of_mid[mid] for mid in mids}
    assert not labels


def test_dcase_strong_labels_keep_rows_without_time_unless_repaired(shared: Path) -> None:
    folder = place(shared, "dcase2017")
    for split, rows, empty in (("val", 688, 36), ("test", 1_706, 150), ("train", 0, 0)):
        events = list(read_events("dcase2017", folder, split))
        keys = {clip.key for clip in read_manifest("dcase2017", folder, split)}
        assert len(events) == rows
        assert sum(e.onset_s >= e.offset_s for e in events) == empty
        assert {e.clip_key for e in events} == (keys if rows else set())
        repaired = list(read_events("dcase2017", folder, split, repair=True))
        assert len(repaired) == rows - empty
    assert events == []


def test_audioset_segments(shared: Path) -> None:
    folder = place(shared, "audioset")
    clips = list(read_manifest("audioset", folder, "balanced_train"))
    assert sum(len(clip.labels) for clip in clips) == 52_882  # the file's own header says so
    assert clips[0] == Clip("--PJHxphWEs", 30.0, 40.0, "balanced_train", ("Speech", "Gush"))
    assert sum(round(clip.end_s - clip.start_s, 3) != 10 for clip in clips) == 345
    assert clips == list(read_manifest("audioset", folder, "train"))
    names = vocabulary("audioset", folder).names
    assert len(names) == 527
    assert names[:2] == ("Speech", "Male speech, man speaking")
    assert names[-1] == "Field recording"
    assert list(read_events("audioset", folder)) == []


def test_ave_lines_are_clips_and_their_events_are_heard_and_seen(shared: Path) -> None:
    folder = place(shared, "ave")
    clips = list(read_manifest("ave", folder))
    names = vocabulary("ave", folder).names
    lines = (folder / "Annotations.txt").read_text().splitlines()
    assert tuple(dict.fromkeys(line.split("&")[0] for line in lines)) == names
    assert len(names) == 28
    videos = Counter(clip.video_id for clip in clips)
    assert len(videos) == 4_097
    assert sum(count > 1 for count in videos.values()) == 45
    assert {c.key: (c.split, *c.labels) for c in clips if c.video_id == "0f_iTO5t3hU"} == {
        "0f_iTO5t3hU_0_10": ("train", "Ukulele"),
        "0f_iTO5t3hU_0_10_2": ("train", "Banjo"),
        "0f_iTO5t3hU_0_10_3": ("test", "Mandolin"),
    }
    events = list(read_events("ave", folder, "train"))
    heard = [e for e in events if e.modality == "audio"]
    seen = [e for e in events if e.modality == "visual"]
    assert [(e.clip_key, e.onset_s, e.offset_s, e.label) for e in heard] == [
        (e.clip_key, e.onset_s, e.offset_s, e.label) for e in seen
    ]
    assert [e.clip_key for e in heard] == [c.key for c in clips if c.split == "train"]
    everything = list(read_events("ave", folder))
    assert len(everything) == 2 * 4_143
    assert len(list(read_events("ave", folder, repair=True))) == 2 * 4_142


def test_kinetics_instruments_are_classes_of_kinetics(shared: Path) -> None:
    folder = place(shared, "kinetics-instruments")
    names = vocabulary("kinetics-instruments", folder).names
    known = (folder / "label_map_k400.txt").read_text().splitlines()
    assert set(names) < set(known)
    assert len(names) == 22
    assert all(40 <= count <= 50 for count in label_counts(shared, "kinetics-instruments", "val"))


def test_folder_of_real_clips(shared: Path) -> None:
    clips = list(read_manifest("folder", shared / "clips" / "labelled", "test"))
    assert len(clips) == 17
    assert clips[0].key == "-1hDIl9Udkw_30_40"
    assert clips[0].labels == ("Music", "Rattle", "Speech")
    odd = list(read_manifest("folder", shared / "clips" / "odd"))
    assert len(odd) == 24
    assert all(clip.labels == () and clip.n_snippets is None for clip in odd)
