"""Readers on small files: round trips, and one clear sentence for each kind of bad input."""

import logging
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from schemas import Clip, Event, UsageError
from schemas.manifests import DATASETS, read_events, read_manifest, vocabulary
from tests.complaints import refusal

LLP_HEADER = "filename\tevent_labels\n"
EVENT_HEADER = "filename\tonset\toffset\tevent_labels\n"

Write = Callable[[dict[str, str | bytes]], Path]


def write_llp(write: Write, **changes: str | bytes) -> Path:
    """A small LLP; keywords replace the text of train, val, test, audio or visual."""
    small: dict[str, str | bytes] = {
        "train": LLP_HEADER + "a_b-c_0_10\tSpeech,Dog\n",
        "val": LLP_HEADER + "val_7.5_17.5\tCat\n",
        "test": LLP_HEADER + "xytest_10_20\tDog,Cat\n",
        "audio": EVENT_HEADER + "xytest_10_20\t0\t4\tDog\n",
        "visual": EVENT_HEADER + "xytest_10_20\t3\t3\tCat\n",
    }
    names = {
        "train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv",
        "audio": "AVVP_eval_audio.csv", "visual": "AVVP_eval_visual.csv",
    }  # fmt: skip
    return write({names[key]: text for key, text in (small | changes).items()})


FOLDED = ("esc10", "esc50", "urbansound8k")
"""Data sets whose splits are folds (`tests/schemas/manifests/test_fold_tables.py`)."""


def refused(dataset: str, folder: Path, split: str | None = None) -> str:
    """Return the sentence with which reading the clips ends."""
    return refusal(lambda: list(read_manifest(dataset, folder, split)))


def test_unknown_data_set_is_answered_with_a_suggestion() -> None:
    for ask in (read_manifest, read_events, vocabulary):
        with pytest.raises(UsageError, match=r"unknown data set 'lpl'; did you mean 'llp'\?"):
            ask("lpl", "x")
    with pytest.raises(UsageError, match=f"known: {', '.join(DATASETS)}"):
        read_manifest("zzz", "x")


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name != "folder"])
def test_missing_folder_and_missing_files_are_named_with_the_call(
    dataset: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=rf"{tmp_path}/no of data set {dataset} does not exist"):
        read_manifest(dataset, tmp_path / "no")
    with pytest.raises(UsageError, match=rf"{tmp_path} lacks .*(\.csv|\.txt|\.json)"):
        read_manifest(dataset, tmp_path)


@pytest.mark.parametrize("ask", [read_manifest, read_events])
@pytest.mark.parametrize("dataset", [name for name in DATASETS if name not in FOLDED])
def test_unknown_split_is_refused_with_the_call(
    dataset: str, ask: Callable[..., object], write: Write
) -> None:
    folder = write({"labels.csv": "file,labels,split\na.mp4,Dog,train\n"})
    said = rf"data set {dataset} has no split 'trian'; did you mean .*\? Known: .*train"
    with pytest.raises(UsageError, match=said):
        ask(dataset, folder, "trian")


def test_llp_round_trip_keeps_names_and_defects(write: Write) -> None:
    folder = write_llp(write)
    clips = list(read_manifest("llp", folder))
    assert clips == [
        Clip("a_b-c", 0.0, 10.0, "train", ("Speech", "Dog"), "a_b-c_0_10"),
        Clip("val", 7.5, 17.5, "val", ("Cat",), "val_7.5_17.5"),
        Clip("xytest", 10.0, 20.0, "test", ("Dog", "Cat"), "xytest_10_20"),
    ]
    assert list(read_events("llp", folder)) == [
        Event("xytest_10_20", "audio", 0.0, 4.0, "Dog"),
        Event("xytest_10_20", "visual", 3.0, 3.0, "Cat"),
    ]


def test_llp_reads_windows_line_ends_and_a_byte_order_mark(write: Write) -> None:
    text = "\ufeff" + LLP_HEADER + "\nvid_0_10\tCat\n"
    folder = write_llp(write, train=text.replace("\n", "\r\n"))
    assert [clip.labels for clip in read_manifest("llp", folder, "train")] == [("Cat",)]


def test_llp_repair_mends_a_cut_name_only_where_the_labels_agree(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    rows = "test_10_20\t1\t2\tDog\n" + "est_10_20\t1\t2\tSpeech\n" + "_0_10\t1\t2\tDog\n"
    val = LLP_HEADER + "w_0_10\tDog\n"
    folder = write_llp(write, val=val, audio=EVENT_HEADER + rows)
    assert len(list(read_events("llp", folder))) == 4
    with caplog.at_level(logging.WARNING):
        repaired = list(read_events("llp", folder, repair=True))
    assert repaired == [Event("xytest_10_20", "audio", 1.0, 2.0, "Dog")]
    assert "2 name(s) that match no clip are left out: est_10_20, _0_10" in caplog.text
    assert "1 event(s) that cover no time are left out" in caplog.text


def test_repeated_clips_are_merged_with_a_warning(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    rows = "v_0_10\tDog\nw_0_10\tCat\nv_0_10\tCat,Dog\n"
    folder = write_llp(write, train=LLP_HEADER + rows)
    with caplog.at_level(logging.WARNING):
        clips = list(read_manifest("llp", folder, "train"))
    assert [(clip.key, clip.labels) for clip in clips] == [
        ("v_0_10", ("Dog", "Cat")), ("w_0_10", ("Cat",)),
    ]  # fmt: skip
    assert "1 clip(s) stand more than once" in caplog.text
    assert "v_0_10" in caplog.text


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("v_0_10", "1 fields instead of 2"),
        ("v_0_10\tDogg", "unknown label 'Dogg'"),
        ("v_0_ten\tDog", "'ten' is no number of seconds"),
        ("v_nan_10\tDog", "'nan' is no time in a clip"),
        ("0_10\tDog", "is not <video id>_<start>_<end>"),
        ("v_10_10\tDog", "need 0 <= start_s < end_s"),
        ("v_0_10\tDog" + "x" * 200, "found 'v_0_10\\\\tDogx{67}\\.\\.\\.'"),
    ],
)
def test_llp_bad_line_names_file_line_text_and_reason(write: Write, line: str, why: str) -> None:
    folder = write_llp(write, val=LLP_HEADER + "ok_0_10\tDog\n" + line + "\n")
    with pytest.raises(UsageError, match=why) as caught:
        list(read_manifest("llp", folder))
    assert "AVVP_val_pd.csv, line 3: expected filename, event_labels" in str(caught.value)


def test_llp_bad_header_and_bytes_that_are_no_text(write: Write) -> None:
    folder = write_llp(write, train="name,labels\n", val=LLP_HEADER.encode() + b"v_0_10\t\xff\n")
    assert "AVVP_train.csv, line 1: expected the header" in refused("llp", folder, "train")
    assert "AVVP_val_pd.csv, line 2: expected text in UTF-8" in refused("llp", folder, "val")
    write_llp(write, test="")
    assert "AVVP_test_pd.csv, line 1: expected the header" in refused("llp", folder, "test")


def test_llp_bad_event_row(write: Write) -> None:
    folder = write_llp(write, visual=EVENT_HEADER + "v_0_10\t-1\t4\tDog\n")
    with pytest.raises(UsageError, match=r"AVVP_eval_visual.csv, line 2: .*'-1' is no time"):
        list(read_events("llp", folder))


AUDIOSET_CLASSES = 'index,mid,display_name\n0,/m/0,"Speech"\n1,/m/1,"Male speech, man"\n'
COMMENTS = "# Segments csv\n# YTID, start_seconds, end_seconds, positive_labels\n"


def test_audioset_reads_the_lists_that_are_there(write: Write) -> None:
    folder = write(
        {
            "class_labels_indices.csv": AUDIOSET_CLASSES,
            "unbalanced_train_segments.csv": COMMENTS + '-a_b, 0.000, 7.500, "/m/1,/m/0"\n',
        }
    )
    labels = ("Male speech, man", "Speech")
    expected = [Clip("-a_b", 0.0, 7.5, "unbalanced_train", labels)]
    assert list(read_manifest("audioset", folder)) == expected
    assert expected[0].key == "-a_b_0_7.5"
    assert vocabulary("audioset", folder).names == ("Speech", "Male speech, man")
    assert "lacks eval_segments.csv" in refused("audioset", folder, "test")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('a, 0.000, 10.000, "/m/9"', "unknown label '/m/9'"),
        ("a, 0.000, 10.000", "3 fields instead of 4"),
        ('a, 0.000, 10.000, "/m/1', "unexpected end of data"),
        ('a, 10.000, 0.000, "/m/1"', "need 0 <= start_s < end_s"),
    ],
)
def test_audioset_bad_line(write: Write, line: str, why: str) -> None:
    folder = write(
        {
            "class_labels_indices.csv": AUDIOSET_CLASSES,
            "eval_segments.csv": COMMENTS + line + "\n",
        }
    )
    sentence = refused("audioset", folder)
    assert "eval_segments.csv, line 3: expected a segment as <id>, <start>, <end>" in sentence
    assert why in sentence


@pytest.mark.parametrize("rows", ["1,/m/0,Speech\n", "0,/m/0,Speech\n1,/m/0,Dog\n", "0,/m/0\n"])
def test_audioset_class_list_out_of_order(write: Write, rows: str) -> None:
    folder = write({"class_labels_indices.csv": "index,mid,display_name\n" + rows})
    with pytest.raises(UsageError, match=r"class_labels_indices.csv, line \d: expected a class"):
        vocabulary("audioset", folder)


def test_audioset_classes_of_one_name(write: Write) -> None:
    folder = write({"class_labels_indices.csv": "index,mid,display_name\n0,/m/0,A\n1,/m/1,A\n"})
    with pytest.raises(UsageError, match="class names repeat"):
        vocabulary("audioset", folder)


DCASE_WEAK = "groundtruth_weak_label_testing_set.csv"


def test_dcase_gathers_rows_into_clips(write: Write) -> None:
    rows = (
        "-a_b_30.000_40.000.wav\t30.000\t40.000\tTruck\r\n"
        "c_0.000_10.000.wav\t0.000\t10.000\tAir horn, truck horn\r\n"
        "-a_b_30.000_40.000.wav\t30.000\t40.000\tCar\r\n"
    )
    folder = write({DCASE_WEAK: rows})
    assert list(read_manifest("dcase2017", folder, "val")) == [
        Clip("-a_b", 30.0, 40.0, "val", ("Truck", "Car")),
        Clip("c", 0.0, 10.0, "val", ("Air horn, truck horn",)),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a_0.000_10.000.wav\t1.000\t10.000\tCar", "the name and the two times differ"),
        ("a_0.000_10.000.wav\t0.000\t10.000\tCars", "unknown label 'Cars'"),
        ("a_0.000_10.000.wav\t0.000\t10.000", "3 fields instead of 4"),
    ],
)
def test_dcase_bad_line(write: Write, line: str, why: str) -> None:
    sentence = refused("dcase2017", write({DCASE_WEAK: line}), "val")
    assert f"{DCASE_WEAK}, line 1: expected <id>_<start>_<end>.wav" in sentence
    assert why in sentence


def write_ave(write: Write, orders: dict[str, list[int]], lines: str) -> Path:
    folder = write({"Annotations.txt": lines})
    for split, order in orders.items():
        with h5py.File(folder / f"{split}_order.h5", "w") as file:
            file["order"] = order
    return folder


AVE_LINES = "Category&VideoID&Quality&StartTime&EndTime\nCat&v&good&0&4\nBus&v&good&1&4\n"


def test_ave_header_and_lines_without_split(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_ave(write, {"train": [1], "val": [], "test": []}, AVE_LINES)
    with caplog.at_level(logging.WARNING):
        clips = list(read_manifest("ave", folder))
    assert [(c.key, c.split, c.labels) for c in clips] == [
        ("v_0_10_2", "train", ("Bus",)), ("v_0_10", "", ("Cat",)),
    ]  # fmt: skip
    assert "1 line(s)" in caplog.text
    assert list(read_manifest("ave", folder, "test")) == []


@pytest.mark.parametrize(
    ("order", "why"), [([2], "lists line 2"), ([0, 0], "lists a line twice"), ([-1], "line -1")]
)
def test_ave_order_that_does_not_fit_the_lines(write: Write, order: list[int], why: str) -> None:
    folder = write_ave(write, {"train": order}, AVE_LINES)
    sentence = refused("ave", folder, "train")
    assert "train_order.h5 lists" in sentence
    assert why in sentence


def test_ave_order_file_that_is_no_hdf5(write: Write) -> None:
    folder = write({"Annotations.txt": AVE_LINES, "train_order.h5": "text"})
    assert "train_order.h5 is no HDF5 file with a list `order`" in refused("ave", folder, "train")


def test_ave_bad_line(write: Write) -> None:
    folder = write_ave(write, {"train": [0]}, "Cat&v&good&0\n")
    assert "Annotations.txt, line 1: expected <category>&" in refused("ave", folder, "train")


KINETICS_HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"


def test_kinetics_keeps_instruments_only_and_each_split_that_is_there(write: Write) -> None:
    folder = write(
        {
            "kinetics-400_train.csv": KINETICS_HEADER + '"playing cello",a,1,11,train,0\n',
            "kinetics-400_test.csv": KINETICS_HEADER
            + "playing chess,b,1,11,test,0\nplaying harp,c,0,10,test,0\n",
        }
    )
    assert list(read_manifest("kinetics-instruments", folder)) == [
        Clip("a", 1.0, 11.0, "train", ("playing cello",)),
        Clip("c", 0.0, 10.0, "test", ("playing harp",)),
    ]
    assert "lacks kinetics-400_val.csv" in refused("kinetics-instruments", folder, "val")


def test_kinetics_bad_header_and_bad_line(write: Write) -> None:
    folder = write(
        {
            "kinetics-400_test.csv": "youtube_id,time_start,time_end,split\n",
            "kinetics-400_val.csv": KINETICS_HEADER + "playing chess,b,1,eleven,val,0\n",
        }
    )
    assert "line 1: expected a header that starts with" in refused(
        "kinetics-instruments", folder, "test"
    )
    sentence = refused("kinetics-instruments", folder, "val")
    assert "kinetics-400_val.csv, line 2" in sentence
    assert "'eleven' is no number of seconds" in sentence


DEMO: dict[str, str | bytes] = {
    "demo_classes.txt": "beep\nclap, slow\n",
    "demo_clips.csv": "filename\tsplit\tevent_labels\nd-1_0_10\ttrain\tbeep\nd_2_0_10\tval\t\n",
    "demo_audio_events.csv": EVENT_HEADER + "d-1_0_10\t0\t2\tbeep\nd_2_0_10\t1\t1\tbeep\n",
    "demo_visual_events.csv": EVENT_HEADER + "d-1_0_10\t1\t3\tclap, slow\n",
}


def test_demo_round_trip(write: Write) -> None:
    folder = write(DEMO)
    assert vocabulary("demo", folder).names == ("beep", "clap, slow")
    assert list(read_manifest("demo", folder)) == [
        Clip("d-1", 0.0, 10.0, "train", ("beep",), "d-1_0_10"),
        Clip("d_2", 0.0, 10.0, "val", (), "d_2_0_10"),
    ]
    assert [e.modality for e in read_events("demo", folder, "train")] == ["audio", "visual"]
    assert len(list(read_events("demo", folder))) == 3
    assert len(list(read_events("demo", folder, repair=True))) == 2


def test_demo_bad_split_and_repeated_class(write: Write) -> None:
    folder = write(DEMO | {"demo_clips.csv": "filename\tsplit\tevent_labels\nd_0_10\tx\tbeep\n"})
    assert "demo_clips.csv, line 2" in refused("demo", folder)
    assert "unknown split 'x'; known: train, val, test" in refused("demo", folder)
    write({"demo_classes.txt": "a\na\n"})
    with pytest.raises(UsageError, match="class names repeat"):
        vocabulary("demo", folder)


LINES: dict[str, tuple[dict[str, str | bytes], str, str]] = {
    "audioset": (
        {"class_labels_indices.csv": "index,mid,display_name\n0,/m/0,Speech\n"},
        "balanced_train_segments.csv", 'abc, 0.000, 10.000, "/m/0"\n',
    ),
    "dcase2017": (
        {}, "groundtruth_weak_label_training_set.csv", "abc_0_10.wav\t0\t10\tCar\n"
    ),
    "llp": ({}, "AVVP_train.csv", "filename\tevent_labels\nabc_0_10\tDog\n"),
    "kinetics-instruments": (
        {}, "kinetics-400_train.csv", KINETICS_HEADER + "playing harp,abc,0,10,train,0\n"
    ),
    "demo": (DEMO, "demo_clips.csv", "filename\tsplit\tevent_labels\nabc_0_10\ttrain\tbeep\n"),
    "folder": ({}, "labels.csv", "file,labels,split\nabc.wav,Dog,train\n"),
}  # fmt: skip
"""By data set: what its reader wants besides, the list of split train, and its text."""


@pytest.mark.parametrize("dataset", LINES)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_give_the_same_clips(
    write: Write, dataset: str, end: str
) -> None:
    others, name, text = LINES[dataset]
    folder = write({**others, name: text.replace("\n", end).encode()})
    (clip,) = read_manifest(dataset, folder, "train")
    assert clip.video_id == "abc"
    assert clip.labels


@pytest.mark.parametrize("dataset", LINES)
@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x9b", "\x0c"])
def test_control_characters_are_in_no_name(write: Write, dataset: str, character: str) -> None:
    others, name, text = LINES[dataset]
    folder = write({**others, name: text.replace("abc", f"ab{character}c")})
    sentence = refused(dataset, folder, "train")
    assert f"{name}, line " in sentence
    assert "expected no control character" in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize("dataset", LINES)
def test_a_line_of_millions_of_characters_is_quoted_in_part(write: Write, dataset: str) -> None:
    others, name, text = LINES[dataset]
    label = {"audioset": "/m/0", "kinetics-instruments": "0,10", "folder": "train"}.get(
        dataset, text.rsplit("\t", 1)[-1].strip()
    )
    changed = text.replace(label, "x" * 5_000_000 + ("," if dataset == "folder" else ""))
    sentence = refused(dataset, write({**others, name: changed}), "train")
    assert len(sentence) < 800


def test_times_that_differ_give_keys_that_differ() -> None:
    first, second = Clip("v", 12345.67, 12355.67), Clip("v", 12345.68, 12355.68)
    assert first.key == "v_12345.67_12355.67"
    assert first.key != second.key
    assert Clip("v", 101.8, 111.8).key == "v_101.8_111.8"
    assert Clip("v", 0.0, 1e6).key == "v_0_1e+06"
