"""Each reader gives every split or the one that is asked for, and events of its clips alone."""

import logging
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from schemas import Clip, Event
from schemas.manifests import read_events, read_manifest, vocabulary
from schemas.manifests.ave import read_order
from schemas.manifests.llp import mend_names
from schemas.manifests.sources import SOURCES
from tests.complaints import refusal

Write = Callable[[dict[str, str | bytes]], Path]
CLASSES = 'index,mid,display_name\n0,/m/0,"Speech"\n1,/m/1,"Male speech, man"\n'
WEAK, STRONG = "groundtruth_weak_label_{}_set.csv", "groundtruth_strong_label_{}_set.csv"
TRUTH = "filename\tonset\toffset\tevent_labels\n"


def keys(dataset: str, folder: Path, split: str | None = None) -> list[tuple[str, str]]:
    return [(clip.key, clip.split) for clip in read_manifest(dataset, folder, split)]


def test_splits_of_audioset(write: Write) -> None:
    folder = write(
        {
            "class_labels_indices.csv": CLASSES,
            "balanced_train_segments.csv": 'b, 0, 10, "/m/0"\n',
            "eval_segments.csv": 'e, 0, 10, "/m/1,/m/0,/m/1"\n',
        }
    )
    balanced, evaluation = ("b_0_10", "balanced_train"), ("e_0_10", "eval")
    assert keys("audioset", folder) == [balanced, evaluation]
    for split in ("train", "balanced_train"):
        assert keys("audioset", folder, split) == [balanced]
    for split in ("test", "eval"):
        assert keys("audioset", folder, split) == [evaluation]
    (clip,) = read_manifest("audioset", folder, "eval")
    assert clip.labels == ("Male speech, man", "Speech")
    (folder / "balanced_train_segments.csv").unlink()
    assert keys("audioset", folder) == [evaluation]
    (folder / "eval_segments.csv").unlink()
    said = refusal(lambda: read_manifest("audioset", folder))
    assert "lacks balanced_train_segments.csv, eval_segments.csv" in said


@pytest.mark.parametrize("row", ["0,,A", "0,/m/0,", "1,/m/0,A", "0", "x,/m/0,A"])
def test_class_of_audioset_that_is_none_is_refused(write: Write, row: str) -> None:
    folder = write({"class_labels_indices.csv": f"index,mid,display_name\n{row}\n"})
    said = refusal(lambda: vocabulary("audioset", folder))
    assert "line 2: expected a class as <index>,<mid>,<display name>" in said
    assert "(index 0 should stand here, with a new mid)" in said


def test_class_of_audioset_that_stands_twice_is_refused(write: Write) -> None:
    folder = write({"class_labels_indices.csv": CLASSES + "2,/m/0,Other,more\n"})
    assert "line 4" in refusal(lambda: vocabulary("audioset", folder))
    write({"class_labels_indices.csv": CLASSES + "2,/m/2,Other,more\n"})
    assert vocabulary("audioset", folder).names == ("Speech", "Male speech, man", "Other")


def write_dcase(write: Write) -> Path:
    files: dict[str, str | bytes] = {}
    for name, key in (("training", "a"), ("testing", "b"), ("evaluation", "c")):
        row = f"{key}_0.000_10.000.wav\t0.000\t10.000\tCar\n"
        files[WEAK.format(name)] = row + row.replace("Car", "Bus") + row
        if name != "training":
            events = row.replace("\t0.000\t10", "\t2.000\t3")
            files[STRONG.format(name)] = events + events.replace("3.000", "2.000")
    return write(files)


def test_splits_of_dcase(write: Write) -> None:
    folder = write_dcase(write)
    every = [("a_0_10", "train"), ("b_0_10", "val"), ("c_0_10", "test")]
    assert keys("dcase2017", folder) == every
    assert [*(keys("dcase2017", folder, split)[0] for split in ("train", "val", "test"))] == every
    assert {clip.labels for clip in read_manifest("dcase2017", folder)} == {("Car", "Bus")}
    whole, empty = (Event("b_0_10", "audio", 2.0, end, "Car") for end in (3.0, 2.0))
    assert list(read_events("dcase2017", folder, "val")) == [whole, empty]
    assert list(read_events("dcase2017", folder, "val", repair=True)) == [whole]
    assert [event.clip_key[0] for event in read_events("dcase2017", folder)] == ["b", "b", "c", "c"]
    assert [event.clip_key[0] for event in read_events("dcase2017", folder, "test")] == ["c", "c"]
    assert list(read_events("dcase2017", folder, "train")) == []


@pytest.mark.parametrize("times", ["1.000\t10.000", "0.000\t9.000"])
def test_times_of_dcase_are_those_of_the_name(write: Write, times: str) -> None:
    folder = write({WEAK.format("testing"): f"a_0.000_10.000.wav\t{times}\tCar\n"})
    said = refusal(lambda: list(read_manifest("dcase2017", folder, "val")))
    assert "(the name and the two times differ)" in said


def write_ave(write: Write, lines: str, **orders: list[int]) -> Path:
    folder = write({"Annotations.txt": "Category&VideoID&Quality&StartTime&EndTime\n" + lines})
    for split, order in orders.items():
        with h5py.File(folder / f"{split}_order.h5", "w") as file:
            file["order"] = order
    return folder


def test_splits_of_ave(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    lines = "Cat&v&good&0&4\nBus&w&good&1&4\nClock&v&good&2&2\nGoat&v&good&0&10\n"
    folder = write_ave(write, lines, train=[2, 1], val=[0], test=[])
    with caplog.at_level(logging.WARNING):
        assert keys("ave", folder) == [
            ("v_0_10_2", "train"), ("w_0_10", "train"), ("v_0_10", "val"), ("v_0_10_3", ""),
        ]  # fmt: skip
    assert f"ave: 1 line(s) of {folder / 'Annotations.txt'} are in no split" in caplog.text
    caplog.clear()
    assert keys("ave", folder, "val") == [("v_0_10", "val")]
    events = list(read_events("ave", folder, "train"))
    assert events == [
        Event("v_0_10_2", modality, 2.0, 2.0, "Clock") for modality in ("audio", "visual")
    ] + [Event("w_0_10", modality, 1.0, 4.0, "Bus") for modality in ("audio", "visual")]
    assert list(read_events("ave", folder, "train", repair=True)) == events[2:]
    assert len(vocabulary("ave", folder)) == 28
    write_ave(write, lines, train=[2, 1], val=[0], test=[3])
    caplog.clear()
    assert len(keys("ave", folder)) == 4
    assert not caplog.records


def test_order_of_ave_names_each_line_once(tmp_path: Path) -> None:
    path = tmp_path / "train_order.h5"
    for order, said in (
        ([0, 3], "lists line 3"),
        ([-1], "lists line -1"),
        ([1, 1], "a line twice"),
    ):
        with h5py.File(path, "w") as file:
            file["order"] = order
        assert f"{said}, but Annotations.txt has lines 0 to 2, each to be listed" in refusal(
            lambda: read_order(path, 3)
        )
    with h5py.File(path, "w") as file:
        file["order"] = [2, 0]
    assert read_order(path, 3) == [2, 0]
    with h5py.File(path, "w") as file:
        file["other"] = [2, 0]
    assert "is no HDF5 file with a list `order`" in refusal(lambda: read_order(path, 3))


def test_splits_of_kinetics(write: Write) -> None:
    head, row = "label,youtube_id,time_start,time_end,split,is_cc\n", "playing harp,{},0,10,x,0\n"
    names = ("train", "val", "test")
    folder = write({f"kinetics-400_{name}.csv": head + row.format(name) for name in names})
    assert keys("kinetics-instruments", folder) == [(f"{name}_0_10", name) for name in names]
    assert keys("kinetics-instruments", folder, "val") == [("val_0_10", "val")]
    assert list(read_events("kinetics-instruments", folder, "val")) == []
    assert vocabulary("kinetics-instruments", folder).names[0] == "playing accordion"
    write({"kinetics-400_val.csv": head + "playing harp,a,0\n"})
    said = refusal(lambda: keys("kinetics-instruments", folder, "val"))
    assert "line 2: expected <label>,<youtube id>,<start>,<end>" in said
    assert "(3 fields instead of 4 or more)" in said
    write({"kinetics-400_val.csv": head + "playing harp,a,0,10\n"})
    assert keys("kinetics-instruments", folder, "val") == [("a_0_10", "val")]
    write({"kinetics-400_val.csv": ""})
    said = refusal(lambda: keys("kinetics-instruments", folder, "val"))
    assert "kinetics-400_val.csv, line 1: expected a header that starts with" in said
    for name in names:
        (folder / f"kinetics-400_{name}.csv").unlink()
    said = refusal(lambda: keys("kinetics-instruments", folder))
    assert "lacks kinetics-400_train.csv, kinetics-400_val.csv, kinetics-400_test.csv" in said


def test_splits_of_llp(write: Write) -> None:
    names = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
    files: dict[str, str | bytes] = {
        file: f"filename\tevent_labels\n{split}_0_10\tDog\n" for split, file in names.items()
    }
    rows = "".join(f"{name}_0_10\t0\t1\tDog\n" for name in (*names, "gone"))
    folder = write(
        {**files, "AVVP_eval_audio.csv": TRUTH + rows, "AVVP_eval_visual.csv": TRUTH + rows}
    )
    assert keys("llp", folder) == [(f"{split}_0_10", split) for split in names]
    assert keys("llp", folder, "test") == [("test_0_10", "test")]
    assert len(list(read_events("llp", folder))) == 8
    assert len(list(read_events("llp", folder, repair=True))) == 6
    of_val = [Event("val_0_10", modality, 0, 1, "Dog") for modality in ("audio", "visual")]
    assert list(read_events("llp", folder, "val")) == of_val
    assert list(read_events("llp", folder, "val", repair=True)) == of_val


def test_names_are_mended_where_one_clip_ends_with_them_and_the_labels_agree(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clips = [Clip("abc", 0, 10, "val", ("Dog", "Cat")), Clip("bbc", 0, 10, "val", ("Dog",))]
    names = [*("abc_0_10", "c_0_10", "ac_0_10", "bc_0_10"), *(f"lost{n}" for n in range(12))]

    def heard(name: str, label: str = "Dog") -> Event:
        return Event(name, "audio", 0, 1, label)

    with caplog.at_level(logging.WARNING):
        mended = list(mend_names([heard(name) for name in names], clips))
    assert mended == [heard("abc_0_10")]
    shown = ", ".join(["c_0_10", "ac_0_10", "bc_0_10", *(f"lost{n}" for n in range(7))])
    assert caplog.messages == [
        f"llp: events of 15 name(s) that match no clip are left out: {shown}"
    ]
    caplog.clear()
    both = [heard("bbc_0_10"), heard("abc_0_1"), heard("abc_0_10", "Cat")]
    one = [Clip("xabc", 0, 10, "val", ("Dog", "Cat"))]
    assert list(mend_names(both[2:], one)) == [heard("xabc_0_10", "Cat")]
    assert list(mend_names([*both[2:], heard("abc_0_10", "Car")], one)) == []
    caplog.clear()
    assert list(mend_names([heard("xabc_0_10")], one)) == [heard("xabc_0_10")]
    assert not caplog.records


def test_addresses_of_lists_end_in_their_names() -> None:
    hashes = [file.sha256 for files in SOURCES.values() for file in files]
    assert len({*hashes}) == len(hashes)
    assert {len(digest) for digest in hashes} == {64}
    (by_hand,) = SOURCES["kinetics-instruments"]
    assert by_hand.address == ""
    assert SOURCES["ave"][0].address.endswith("/AVE-ECCV18/HEAD/data/Annotations.txt")
