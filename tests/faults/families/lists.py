"""Hostile lines in annotation lists, for the readers in `schemas.manifests`."""

import math
import random
from dataclasses import dataclass
from pathlib import Path

from schemas.manifests import read_manifest
from tests.faults.family import Family, Outcome

HEADER = "filename\tevent_labels\n"
GOOD = {
    "llp": (
        {"AVVP_train.csv": HEADER, "AVVP_val_pd.csv": HEADER, "AVVP_test_pd.csv": HEADER},
        ("a_b-c_0_10\tSpeech,Dog", "7_S-dR_QqQo_101.8_111.8\tCat", "xy_10_20\tDog"),
    ),
    "dcase2017": (
        {f"groundtruth_weak_label_{name}_set.csv": "" for name in
         ("training", "testing", "evaluation")},
        ("-a_b_0.000_10.000.wav\t0.000\t10.000\tTrain", "c_30_40.wav\t30\t40\tCar alarm"),
    ),
    "kinetics-instruments": (
        {"kinetics-400_val.csv": "label,youtube_id,time_start,time_end,split\n"},
        ("playing harp,-PzVtZ4_b1U,20,30,val", '"playing cello",0wP5d01BfhI,0,10.5,val'),
    ),
    "folder": (
        {"labels.csv": "file,labels,split\n"},
        ("a.mp4,Dog|Cat,train", "b.wav,,test", '"c,d.mp4",Dog,'),
    ),
}  # fmt: skip
"""By data set: the files that its reader wants, and lines that it takes."""

SPLINTERS = (
    "", "\t", ",", '"', "|", "_", ".", "-", "\r", "\x00", "\ufeff", "\u202e", "\u2028", "\x1b[31m",
    "nan", "inf", "-1", "1e400", "1e-05", "0", "\u0663", "../", "/", "$\\frac$", "\U0001f3b5",
    "x" * 3000,
)  # fmt: skip
"""What is put into a line."""


@dataclass(frozen=True)
class List:
    """One data set's lists with lines as bytes."""

    dataset: str
    lines: tuple[bytes, ...]


def make(dice: random.Random) -> List:
    """Good lines, of which some are changed."""
    dataset = dice.choice([*GOOD])
    _, good = GOOD[dataset]
    lines = [dice.choice(good) for _ in range(dice.randrange(1, 9))]
    changed = [hostile(dice, line) if dice.random() < 0.5 else line.encode() for line in lines]
    return List(dataset, tuple(changed))


def hostile(dice: random.Random, line: str) -> bytes:
    """Put something in, take something out, write it twice, or spoil its bytes."""
    for _ in range(dice.randrange(1, 4)):
        start, end = sorted(dice.choices(range(len(line) + 1), k=2))
        line = dice.choice(
            (
                line[:start] + dice.choice(SPLINTERS) + line[start:],
                line[:start] + dice.choice(SPLINTERS) + line[end:],
                line[:start] + line[end:],
                line[:end] + line[start:],
            )
        )
    data = line.encode("utf-8", "surrogatepass")
    if dice.random() < 0.1 and data:
        at = dice.randrange(len(data))
        data = data[:at] + dice.randbytes(1) + data[at + 1 :]
    return data


def run(case: List, folder: Path) -> Outcome:
    """Read the lists; what comes back are clips that a job can work with."""
    names, _ = GOOD[case.dataset]
    for name, header in names.items():
        (folder / name).write_bytes(header.encode() + b"\n".join([*case.lines, b""]))
    clips = list(read_manifest(case.dataset, folder))
    if len({clip.key for clip in clips}) != len(clips):
        return Outcome.WRONG_ROWS
    open_end = case.dataset == "folder"
    right = all(
        0 <= clip.start_s < clip.end_s and math.isinf(clip.end_s) == open_end for clip in clips
    )
    return Outcome.ROWS if right else Outcome.WRONG_ROWS


FAMILIES = (Family("lists", make, run, sample=60),)
