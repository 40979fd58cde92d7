"""The page of the papers: kept up to date, and what it takes from runs."""

from pathlib import Path
from typing import Any

import numpy as np

from models import papers, registry
from models.contract.report import SplitReport
from models.metrics import AVVP_NAMES
from models.runtime import command_line as cli
from models.training.results import RunResults
from tests.places import ROOT

PAGE = ROOT / "docs" / "papers.md"
BOARD = ROOT / "docs" / "avvp.md"


def test_page_in_the_repository_is_what_the_command_writes(tmp_path: Path) -> None:
    out = tmp_path / "papers.md"
    board = tmp_path / "avvp.md"
    demo = str(ROOT / "docs" / "benchmarks" / "avvp.json")
    words = ["--runs", str(tmp_path), "--out", str(out), "--board", str(board), "--demo", demo]
    assert cli.run(papers.main, words) == 0
    assert out.read_text() == PAGE.read_text(), "run: python -m models.papers --runs none"
    assert board.read_text() == BOARD.read_text(), "run: python -m models.papers --runs none"


def test_every_experiment_and_difference_is_on_the_page() -> None:
    said = papers.page({})
    for name, (model, _) in registry.experiments().items():
        assert f"`{name}`" in said
        assert all(f"- {one}" in said for one in registry.load(model).card.differences)
    assert "ours," not in said


def run(
    folder: Path, seed: int, score: float, caveats: tuple[str, ...] = (), name: str = "han",
    **features: Any,
) -> None:  # fmt: skip
    folder.mkdir()
    RunResults(
        experiment=name, paper={}, model=name, caveats=caveats, seed=seed, seconds=1.0,
        features={"clips": {"test": 1200}, "subset_id": "abc", **features}, thresholds=None,
        kept_epoch=1, history=[],
        reports={
            "test": SplitReport(
                metrics=dict.fromkeys(AVVP_NAMES, score),
                intervals={"segment_type_av": (score - 2.0, score + 1.5)},
            )
        },
    ).write(folder / "results.json")  # fmt: skip


def test_comparable_runs_give_mean_and_spread(tmp_path: Path) -> None:
    run(tmp_path / "a", 1, 50.0)
    run(tmp_path / "b", 2, 53.0)
    run(tmp_path / "c", 3, 90.0, ("the data set is demo, the paper's is llp",))
    said = papers.page(papers.comparable_runs(tmp_path))
    (line,) = [line for line in said.splitlines() if "ours," in line]
    assert "ours, 2 seeds, 1,200 test clips, subset abc" in line
    assert line.count(f"51.5 ± {np.std([50, 53], ddof=1):.1f}") == 10


def test_board_has_systems_by_year_with_what_was_measured(tmp_path: Path) -> None:
    run(tmp_path / "a", 1, 50.0)
    run(tmp_path / "b", 2, 53.0)
    shares = {"test": {"clips": 1200, "present": 1180, "missing": 20}}
    run(tmp_path / "c", 1, 61.0, name="coleaf", clips={"test": 1180}, coverage={"splits": shares})
    score = {"mean": 41.24, "std": 2.06}
    demo = {"runs": {"valor": {"segment_type_av": score}}, "notes": ["Measured so."]}
    lines = papers.board(papers.comparable_runs(tmp_path), demo).splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| 20")]
    years = [int(row[0].removeprefix("| ")) for row in rows]
    assert years == sorted(years)
    by_name = {row[1]: row for row in rows}
    assert by_name["`han`"][3:8] == [
        "54.0",
        "47.7",
        "",
        "",
        "51.5 [48.0, 51.5], 2 seeds, 1,200 clips",
    ]
    assert by_name["`coleaf`"][7] == "61.0 [59.0, 62.5], 1 seed, 1,180 of 1,200 clips"
    assert by_name["`valor`"][2].endswith("pseudo_labels")
    assert by_name["`valor`"][5] == "41.2 ± 2.1"
    assert by_name["LEAP"][8] == "not built here |"
    assert "- Measured so." in lines
