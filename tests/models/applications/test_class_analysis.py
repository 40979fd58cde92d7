"""Analysis of a fusion class by class: counts, rows, figures, with class names of any kind."""

import csv
from pathlib import Path

import numpy as np
import pytest

from models.applications import class_figures
from models.applications.class_analysis import ClassAnalysis, class_rows, count_table, counts
from models.runtime import files

NAMES = ("$\\frac$", "[/red]", "x" * 3000, "absent\r\x1b[31m")


@pytest.fixture
def analysis() -> ClassAnalysis:
    return ClassAnalysis(
        names=NAMES, clips=np.array([5, 4, 3, 0]), audio=np.array([0.2, 0.5, 0.6, np.nan]),
        visual=np.array([0.4, 0.1, 0.3, np.nan]), fused=np.array([0.6, 0.5, 0.52, np.nan]),
        gain_ends=np.array([[0.1, -0.2, -0.1, np.nan], [0.3, 0.1, 0.0, np.nan]]),
        audio_weight=np.array([0.02, 0.96, 0.5, np.nan]),
    )  # fmt: skip


def test_counts_name_the_classes(analysis: ClassAnalysis) -> None:
    counted = counts(analysis)
    assert counted["classes with a positive clip"] == 3
    assert counted["lists"] == {
        "visual better than audio": [NAMES[0]],
        "fusion better than the better one": [NAMES[0]],
        "gain whose 95 % interval lies above 0": [NAMES[0]],
        "gain above 10 AP": [NAMES[0]],
        "loss above 5 AP": [NAMES[2]],
        "loss above 10 AP": [],
        "audio has about all weight (0.95 and more)": [NAMES[1]],
        "visual has about all weight (0.95 and more)": [NAMES[0]],
        "visual has 90 % of the weight": [NAMES[0]],
    }
    assert list(count_table(counted, 527).columns[2].cells)[:1] == ["117"]
    assert list(count_table(counted, 4).columns[2].cells)[:1] == [NAMES[0]]


def test_rows_and_figures_take_any_name(analysis: ClassAnalysis, tmp_path: Path) -> None:
    files.write_csv(tmp_path / "classes.csv", class_rows(analysis))
    with (tmp_path / "classes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list(NAMES)
    assert rows[0]["gain"] == "0.200000"
    assert (rows[0]["gain_low"], rows[0]["gain_high"]) == ("0.100000", "0.300000")
    assert rows[3]["gain"] == rows[3]["gain_low"] == ""
    paths = class_figures.save(tmp_path, analysis)
    assert [path.name for path in paths] == ["ap-by-modality.png", "gain.png", "attention.png"]
    assert all(path.stat().st_size > 5_000 for path in paths)
