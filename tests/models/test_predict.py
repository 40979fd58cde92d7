"""The command predict: from a real film to events, files that give none, and what it refuses."""

import csv
import shutil
from pathlib import Path

import pytest

from models import predict
from models.runtime import files
from tests.complaints import sentence
from tests.models.commands import refused, run_command


def test_film_goes_through_the_real_features_job_and_a_broken_one_beside_it_is_named(
    parsing_run: Path, film: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken, named = tmp_path / "broken.mp4", tmp_path / "$\\frac$.mp4"
    broken.write_bytes(b"this is not a film" * 100)
    named.symlink_to(film)
    out = tmp_path / "out"
    done = run_command(predict.main, broken, named, film, "--run", parsing_run, "--out", out)
    complaint = sentence(done, 1)
    assert complaint.startswith("1 of 3 files gave nothing, what the others gave is written; ")
    assert "from random weights (seeded:0): what it says is good for tests alone" in caplog.text
    assert f"{broken} gave no features: " in complaint
    with (out / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ["clip_key", "onset", "offset", "modality", "label", "score"]
    assert all(list(row) == columns for row in rows)
    by_key = {
        path.stem: [list(row.values())[1:] for row in rows if row["clip_key"] == path.stem]
        for path in (named, film)
    }
    assert by_key[named.stem] == by_key[film.stem]
    assert {path.name for path in out.glob("*.png")} == {"0000-$\\frac$.png", "0001-film.png"}
    assert (out / "events.html").read_text().count("<video") == 2
    assert "film.mp4" in done.stdout
    assert "$\\frac$.mp4" in done.stdout
    assert all(row["label"] in done.stdout for row in rows)


def test_job_that_fails_says_why_in_its_own_sentence(
    parsing_run: Path, film: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(parsing_run, run)
    config = files.read_json(run / "config.json", "")
    config["recipe"]["name"] = "llp-eccv21"
    files.write_json(run / "config.json", config)
    assert "config.json is damaged: its recipe has" in refused(predict.main, film, "--run", run)
    del config["recipe"]["hash"]
    files.write_json(run / "config.json", config)
    done = run_command(predict.main, film, "--run", run, "--out", tmp_path / "out")
    complaint = sentence(done)  # a line on random weights may stand before it
    start = "the features job says: unknown recipe 'llp-eccv21'; did you mean 'llp-eccv20'?"
    assert complaint.startswith(start)
    assert not (tmp_path / "out").exists()


def test_place_for_the_answer_is_looked_at_before_the_work(
    parsing_run: Path, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    complaint = refused(predict.main, film, "--run", parsing_run, "--out", tmp_path / "file")
    assert "file cannot be written, because" in complaint


def test_words_that_are_missing_are_asked_for(parsing_run: Path, film: Path) -> None:
    for arguments in (("--run", parsing_run), (film,)):
        complaint = refused(predict.main, *arguments)
        assert "say which run, and which media" in complaint
