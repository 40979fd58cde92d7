"""Pages of runs: every training leaves one, several stand side by side, nothing in them runs."""

import json
import logging
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from models import report, train
from models.pages import run_page
from models.pages.yardsticks import reports_beside
from models.tasks import timelines
from models.training.results import RunResults
from tests.models.commands import refused, run_command
from tests.stores.parsing import ParsingRows
from tests.stores.tagging import write_tagging_store

SMALL = ("--hidden", "8", "--feedforward", "8", "--epochs", "2")
EVIL = "<script>alert('x')</script>"


class Reader(HTMLParser):
    """Text and tags of a page; complains of tags that do not match."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text += f"{data} "

    def words(self) -> str:
        return " ".join(self.text.split())


def read(path: Path) -> Reader:
    page = Reader(path.read_text())
    addresses = [
        value
        for _, held in page.tags
        for name, value in held.items()
        if name in ("src", "href", "data", "poster") and value
    ]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    return page


def trained(experiment: str, store: Path, run: Path, *options: object) -> Any:
    given = (experiment, "--features", store, "--run", run, *options)
    done = run_command(train.main, *given)
    assert done.returncode == 0, done.stderr
    assert "was not written" not in done.stderr
    return done


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory, small_store: Path) -> Path:
    run = tmp_path_factory.mktemp("runs") / "han"
    trained("han", small_store, run, *SMALL)
    return run


def test_page_of_a_parsing_run_holds_what_its_results_hold(parsed: Path) -> None:
    results = json.loads((parsed / "results.json").read_text())
    page = read(parsed / "report.html")
    words = page.words()
    for name, value in results["metrics"]["test"].items():
        assert f"{name} {value:.2f}" in words
    low, high = results["intervals"]["test"]["segment_type_av"]
    assert f"{low:.2f} - {high:.2f}" in words
    assert f"epoch {results['kept_epoch']} is kept" in words
    assert results["subset_id"] in words
    (band,) = [held for _, held in page.tags if held.get("class") == "band"]
    assert band["role"] == "alert"
    assert all(caveat in words for caveat in results["caveats"])
    for row in results["confusion"]["test"]:
        assert all(f"{count:,}" in words for count in row)
    dots = [held["class"] for tag, held in page.tags if tag == "i" and "class" in held]
    assert {"dot ours", "dot floor", "dot paper", "interval"} <= set(dots)


def test_dots_stand_at_their_numbers(parsed: Path) -> None:
    results = json.loads((parsed / "results.json").read_text())
    page = read(parsed / "report.html")
    places = {held.get("title"): held["style"] for tag, held in page.tags if tag == "i"
              and "dot" in str(held.get("class"))}  # fmt: skip
    paper = results["paper"]["rows"][0]["numbers"]["segment_audio"]
    assert places[f"paper {paper:.1f}"] == f"left:{paper:.2f}%"
    ours = results["metrics"]["test"]["segment_audio"]
    assert places[f"ours {ours:.2f}"] == f"left:{ours:.2f}%"


def test_baselines_beside_a_run_stand_on_its_axis(parsed: Path, tmp_path: Path) -> None:
    def lay(name: str, value: float, subset: str | None = None) -> None:
        held = json.loads((parsed / "results.json").read_text())
        held["features"]["subset_id"] = subset or held["features"]["subset_id"]
        held["experiment"] = name.rpartition("-")[0]
        held["metrics"]["test"]["segment_audio"] = value
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(held))

    shutil.copytree(parsed, tmp_path / "han-0")
    lay("video-level-0", 12.34)
    lay("second-probe-0", 56.78, "another")
    (tmp_path / "second-probe-1").mkdir()
    (tmp_path / "second-probe-1" / "results.json").write_text("{half")
    run_page.write_report(tmp_path / "han-0")
    page = read(tmp_path / "han-0" / "report.html")
    places = {held.get("title"): held["style"] for tag, held in page.tags if tag == "i"
              and held.get("class") == "dot video-level"}  # fmt: skip
    assert places["video-level 12.34"] == "left:12.34%"
    assert "second-probe" not in page.words()
    results = RunResults.read(tmp_path / "video-level-0" / "results.json")
    assert reports_beside(tmp_path / "video-level-0", results, "test") == {}


def test_settings_that_differ_from_the_papers_are_marked(parsed: Path) -> None:
    page = (parsed / "report.html").read_text()
    marked = re.findall(r'<tr class="differs"><td>(\w+)</td><td>(\w+)</td><td>(\w+)</td>', page)
    assert ("hidden", "8", "512") in marked
    assert "classes" not in [name for name, *_ in marked]


def test_timelines_show_truth_decision_and_probability_of_every_second(parsed: Path) -> None:
    import pyarrow.parquet as pq

    from models.data.clips import open_clips

    facts = run_page.RunFacts.read(parsed)
    clips = open_clips(Path(str(facts.config.features)), ())
    shown, said = run_page.timelines_of(facts, clips)
    assert said == ""
    assert [len(shown[kind]) for kind in ("worst", "best", "random")] == [3, 3, 3]
    scores = [clip.f_score for clip in (*shown["worst"], *reversed(shown["best"]))]
    assert scores == sorted(scores)
    clip = shown["worst"][0]
    lines = pq.read_table(parsed / "predictions.parquet", filters=[("clip_key", "=", clip.key)])
    row = clips.keys.index(clip.key)
    assert clip.rows
    for line in clip.rows:
        column = clips.vocabulary.names.index(line.label)
        assert line.truth == clips.truth[line.modality][row, :, column].tolist()
        values = [second[column] for second in lines[line.modality].to_pylist()]
        assert line.probability == pytest.approx(values)
        named = lines["heard" if line.modality == "audio" else "seen"].to_pylist()
        assert line.predicted == [line.label in names for names in named]
    every = {line["clip_key"] for line in pq.read_table(
        parsed / "predictions.parquet", filters=[("split", "=", "test")]).to_pylist()}  # fmt: skip
    keys = [clip.key for clips_of in shown.values() for clip in clips_of]
    assert len(set(keys)) == len(keys)
    assert set(keys) <= every


def test_random_clips_are_the_same_ones_again_and_no_clip_comes_twice() -> None:
    keys, scores = [str(number) for number in range(20)], [number / 20 for number in range(20)]
    chosen = timelines.choose(keys, scores)
    assert chosen == timelines.choose(keys, scores)
    assert chosen["worst"] == ["0", "1", "2"]
    assert chosen["best"] == ["19", "18", "17"]
    assert len({key for kind in chosen.values() for key in kind}) == 9


def test_frames_are_shown_where_the_media_are_known(
    parsed: Path, film: Path, tmp_path: Path
) -> None:
    html = tmp_path / "page.html"
    shown, _ = run_page.timelines_of(run_page.RunFacts.read(parsed), None)
    key = shown["best"][0].key
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / f"{key}.mp4").symlink_to(film)
    given = (parsed, "--html", html, "--media", tmp_path / "media")
    assert run_command(report.main, *given).returncode == 0
    pictures = [held for tag, held in read(html).tags if tag == "img"]
    assert len(pictures) == 10
    assert all(str(held["src"]).startswith("data:image/jpeg;base64,") for held in pictures)


def test_names_are_text_whatever_they_hold(tmp_path: Path) -> None:
    classes = (EVIL, 'Dog & "Cat"', "Engine", "Rain", "Speech", "Wind")
    store = write_tagging_store(tmp_path / "store", classes=classes)
    trained("fayek_visual", store, tmp_path / "run", "--epochs", "1")
    html = (tmp_path / "run/report.html").read_text()
    assert EVIL not in html
    assert EVIL in read(tmp_path / "run/report.html").words()
    assert html.count("<script>") == 1


def test_run_without_a_test_split_shows_validation_clips_or_says_that_there_are_none(
    tmp_path: Path,
) -> None:
    for name, val, said in (("val", 8, "Split val, in per cent"), ("none", 0, "nothing to score")):
        store = write_tagging_store(tmp_path / f"store-{name}", val=val, test=0)
        trained("fayek_visual", store, tmp_path / name, "--epochs", "1")
        assert said in read(tmp_path / name / "report.html").words()


def test_fusion_and_what_it_trains_on_the_way_have_pages(tmp_path: Path) -> None:
    store = write_tagging_store(tmp_path / "store")
    options = ("--epochs", "2", "--single-epochs", "1", "--units", "8")
    trained("fusion-attention", store, tmp_path / "run", *options)
    for folder in ("run", "run/audio", "run/visual"):
        assert "Scores" in read(tmp_path / folder / "report.html").words()


@pytest.mark.parametrize("option", ["--seeds", "--folds"])
def test_seeds_and_folds_have_pages_and_one_of_all(tmp_path: Path, option: str) -> None:
    store = write_tagging_store(tmp_path / "store")
    base = tmp_path / "base"
    trained("fayek_visual", store, base, "--epochs", "1", option, "2")
    pages = sorted(str(path.relative_to(base)) for path in base.rglob("report.html"))
    single = ["1", "2"] if option == "--seeds" else ["fold-1", "fold-2"]
    assert pages == sorted([*(f"{name}/report.html" for name in single), "report.html"])
    of_all = json.loads((base / f"{option[2:]}.json").read_text())["metrics"]["test"]
    words = read(base / "report.html").words()
    mean, std = 100 * of_all["map"]["mean"], 100 * of_all["map"]["std"]
    assert f"{mean:.2f} {std:.2f}" in words
    assert ("different folds" in words) == (option == "--folds")


def test_runs_stand_side_by_side_with_what_differs(
    parsed: Path, small_store: Path, tmp_path: Path
) -> None:
    other, html = tmp_path / "other", tmp_path / "both.html"
    trained("han", small_store, other, *SMALL, "--learning-rate", "0.01")
    assert run_command(report.main, parsed, other, "--html", html).returncode == 0
    words = read(html).words()
    for run in (parsed, other):
        results = json.loads((run / "results.json").read_text())
        assert f"{results['metrics']['test']['segment_type_av']:.2f}" in words
    assert "learning_rate 0.0003 0.01" in words
    kinds = [held["class"] for tag, held in read(html).tags if tag == "i" and "title" in held]
    assert {"dot ours", "dot floor", "dot paper", "interval"} <= set(kinds)
    assert "different subsets" not in words


def test_other_clips_are_warned_of_and_other_tasks_refused(
    parsed: Path, tmp_path: Path, instances_run: Path
) -> None:
    store = ParsingRows(seed=1)
    store.clips = store.clips[:60]
    keys = {clip["clip_key"] for clip in store.clips}
    store.snippets = [row for row in store.snippets if row["clip_key"] in keys]
    store.events = [event for event in store.events if event["clip_key"] in keys]
    trained("han", store.write(tmp_path / "store"), tmp_path / "other", *SMALL)
    html = tmp_path / "both.html"
    assert run_command(report.main, parsed, tmp_path / "other", "--html", html).returncode == 0
    assert "different subsets of clips" in read(html).words()
    said = refused(report.main, parsed, instances_run, "--html", tmp_path / "none.html")
    assert "runs of one task can be compared" in said
    assert not (tmp_path / "none.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say which run or runs"),
        (("nowhere",), "nowhere has no config.json"),
        (("RUN", "RUN"), "say where the page of several runs goes"),
        (("RUN", "RUN", "--html", "x.html", "--media", "."), "--media shows frames in the page of"),
        (("RUN", "--html", "x.html", "--media", "nowhere"), "nowhere is no folder"),
    ],
)
def test_wrong_use_is_one_sentence(parsed: Path, arguments: tuple[str, ...], said: str) -> None:
    words = [str(parsed) if word == "RUN" else word for word in arguments]
    assert said in refused(report.main, *words)


def test_page_is_made_without_the_store_and_says_what_is_missing(
    parsed: Path, tmp_path: Path
) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(parsed, run)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"features": str(tmp_path / "gone")}))
    assert run_command(report.main, run).returncode == 0
    words = read(run / "report.html").words()
    assert "The clips cannot be shown" in words
    assert "segment_type_av" in words


def test_a_page_that_fails_costs_no_training_and_is_made_by_a_resume(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, quiet_pages: Callable[[], None],
) -> None:  # fmt: skip
    quiet_pages()
    given = ("han", "--features", small_store, "--run", tmp_path / "run", *SMALL)
    with monkeypatch.context() as broken, caplog.at_level(logging.ERROR):
        broken.setattr(run_page, "facts", lambda *given: 1 / 0)
        assert run_command(train.main, *given).returncode == 0
    assert "report.html was not written, the results are whole" in caplog.text
    assert (tmp_path / "run/results.json").is_file()
    assert not (tmp_path / "run/report.html").exists()
    assert run_command(train.main, *given, "--resume").returncode == 0
    assert (tmp_path / "run/report.html").is_file()


def test_a_bug_in_a_page_fails_the_tests_of_trainings(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "facts", lambda *given: 1 / 0)
    given = ("han", "--features", small_store, "--run", tmp_path / "run", *SMALL)
    with pytest.raises(AssertionError, match=r"report\.html was not written"):
        train.main([str(word) for word in given])
