"""Pages of clips: whole without network, small, and text stays text."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import localise, predict
from models.applications.localisation import InstanceScores
from models.applications.media_files import Audio
from models.applications.new_media import Run, open_run
from models.applications.separation.sources import separate_sources
from models.contract.shown_clip import MOST_STEPS, ShownClip, pooled_row, surest_rows
from models.pages import clip_page, copies
from schemas.machine.ffmpeg import ffmpeg_binary
from tests.models.commands import refused, run_command
from tests.models.test_report import EVIL, Reader, read
from tests.models.waveforms import RATE, component_scores, tone

CLASSES = (EVIL, "Car", "Speech", "Violin")


@pytest.fixture(scope="module")
def run(parsing_run: Path) -> Run:
    return replace(open_run(parsing_run), classes=CLASSES)


def shown(path: Path, seconds: int) -> ShownClip:
    probability = np.linspace(0, 1, 4 * seconds, dtype=np.float32).reshape(seconds, 4)
    rows = surest_rows(probability, probability > 0.5, CLASSES, "audio")
    return ShownClip(
        path=path, seconds=float(seconds), rows=rows, events=[["0", "1", "audio", EVIL, "0.5"]]
    )


def played(page: Reader) -> list[str]:
    """Return the kinds of the media that a page holds."""
    return [str(held["src"])[5:14] for tag, held in page.tags if tag in ("video", "audio")]


def test_labels_and_names_are_text(run: Run, film: Path, tmp_path: Path) -> None:
    named = tmp_path / "<script>x.mp4"
    named.symlink_to(film)
    clip_page.write_predictions(tmp_path / "a.html", run, [shown(named, 1)], 1)
    page = read(tmp_path / "a.html")
    assert EVIL not in (tmp_path / "a.html").read_text()
    assert EVIL in page.words()
    assert "<script>x.mp4" in page.words()
    assert "RANDOM WEIGHTS" in page.words()
    assert played(page) == ["video/mp4"]


def test_long_clip_says_that_its_copy_is_shorter(run: Run, tmp_path: Path) -> None:
    sound, seconds = tmp_path / "long.wav", copies.MOST_S + 5
    made = ("-f", "lavfi", "-i", f"sine=duration={seconds}", "-ar", "16000", str(sound))
    subprocess.run([ffmpeg_binary(), "-v", "error", "-nostdin", *made], check=True)
    clip_page.write_predictions(tmp_path / "a.html", run, [shown(sound, seconds)], 1)
    page = read(tmp_path / "a.html")
    assert "The first 60 of 65 s can be played here." in page.words()
    assert played(page) == ["audio/mp4"]


def test_files_without_a_copy_and_left_out_files_are_named(
    run: Run, tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film" * 100)
    clips = [shown(broken, 2), shown(film, 1)]
    clip_page.write_predictions(tmp_path / "a.html", run, clips, 7)
    words = read(tmp_path / "a.html").words()
    assert "ffmpeg made no copy of the file" in words
    assert "The first 2 of 7 files; the CSV holds all." in words
    monkeypatch.setattr(clip_page, "MOST_BYTES", 1000)
    clip_page.write_predictions(tmp_path / "a.html", run, clips, 2)
    page = read(tmp_path / "a.html")
    assert "left out: a page holds" in page.words()
    assert played(page) == []


def test_copy_of_noise_is_so_small_that_a_minute_fits_into_a_page(tmp_path: Path) -> None:
    film = tmp_path / "noise.mp4"
    noise = ("-f", "lavfi", "-i", "nullsrc=s=128x96:r=15:d=6,geq=random(1)*255:128:128")
    made = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "20", "-threads", "1", str(film))
    subprocess.run([ffmpeg_binary(), "-v", "error", "-nostdin", *noise, *made], check=True)
    copy = copies.of_file(film)
    assert copy.video
    assert 10 * len(copy.address) < clip_page.MOST_BYTES < 10 * film.stat().st_size


def test_rows_are_those_that_are_decided_on_or_the_surest() -> None:
    probability = np.array([[0.1, 0.9, 0.4], [0.2, 0.3, 0.8]], np.float32)
    rows = surest_rows(probability, probability > 0.5, CLASSES, "audio")
    assert [row.label for row in rows] == ["Car", "Speech"]
    assert rows[1].predicted == [False, True]
    assert rows[1].probability == pytest.approx([0.4, 0.8])
    (surest,) = surest_rows(probability, probability > 1, CLASSES, "audio")
    assert surest.label == "Car"
    assert surest_rows(probability[:0], probability[:0] > 1, CLASSES, "audio") == []
    pooled = pooled_row(rows[1], 2)
    assert pooled.predicted == [True]
    assert pooled.probability == pytest.approx([0.8])


def test_timeline_of_hours_has_few_steps(run: Run, film: Path, tmp_path: Path) -> None:
    clip_page.write_predictions(tmp_path / "a.html", run, [shown(film, 7200)], 1)
    page = read(tmp_path / "a.html")
    steps = [held for tag, held in page.tags if tag == "rect"]
    assert 0 < len(steps) <= 4 * MOST_STEPS
    assert (tmp_path / "a.html").stat().st_size < 2_000_000


def test_boxes_of_each_second_are_the_best_ones(run: Run, film: Path, tmp_path: Path) -> None:
    corner = np.linspace(0, 0.5, 8, dtype=np.float32)[:, None]
    scores = np.tile(np.arange(8, dtype=np.float32)[:, None], (1, 4))
    instances = InstanceScores(
        clip=np.full(4, 0.5, np.float32),
        boxes=np.hstack([corner, corner, corner + 0.4, corner + 0.4]),
        box_seconds=np.array([0] * 7 + [2]), box_scores=scores,
        segment_starts=np.zeros(0), segment_scores=np.zeros((0, 4), np.float32), seconds=3,
    )  # fmt: skip
    clip_page.write_localisation(tmp_path / "a.html", film, run, instances, [EVIL])
    page = read(tmp_path / "a.html")
    boxes = [held for tag, held in page.tags if tag == "rect" and "data-second" in held]
    assert [box["data-second"] for box in boxes] == ["0"] * 5 + ["2"]
    assert [box["x"] for box in boxes] == [f"{corner[i, 0]:.3f}" for i in (2, 3, 4, 5, 6, 7)]
    assert {box["data-of"] for box in boxes} == {EVIL}
    assert [held["data-at"] for tag, held in page.tags if held.get("class") == "jump"] == ["2"]
    assert EVIL not in (tmp_path / "a.html").read_text()


def test_every_source_and_rest_can_be_heard(run: Run, film: Path, tmp_path: Path) -> None:
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    scores = component_scores(
        low, high, components=[[0.9, 0.0, 0.0, 0.0], [0.1, 0.8, 0.0, 0.0]],
        clip=[0.9, 0.8, 0.1, 0.1],
    )  # fmt: skip
    audio = Audio(samples=(low + high)[None], rate=RATE)
    columns = {EVIL: 0, "Car": 1}
    sources = separate_sources(low + high, audio, scores, columns, "hard", 0.2)
    clip_page.write_separation(tmp_path / "a.html", film, run, low + high, sources)
    page = read(tmp_path / "a.html")
    assert played(page) == ["video/mp4", *["audio/mp4"] * 4]
    for name in (EVIL, f"without {EVIL}", "Car", "without Car"):
        assert name in page.words()
    assert EVIL not in (tmp_path / "a.html").read_text()


def test_page_is_refused_where_none_is_written(parsing_run: Path, tmp_path: Path) -> None:
    given = ("--run", parsing_run, "--html", tmp_path / "a.html")
    assert "--watch writes no page" in refused(predict.main, *given, tmp_path, "--watch")
    said = refused(localise.main, *given, "--truth", tmp_path)
    assert "--truth scores a store and writes no page" in said


def test_place_of_the_page_is_looked_at_before_the_work(
    parsing_run: Path, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    given = ("--run", parsing_run, film, "--html", tmp_path / "file" / "a.html")
    done = run_command(predict.main, *given, "--out", tmp_path / "out")
    assert "cannot be written, because" in done.stderr
    assert not (tmp_path / "out").exists()
