"""The commands from end to end on a small store."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from models import evaluate, registry, train
from models.data.clips import open_clips
from models.metrics import AVVP_NAMES, avvp_scores, modality_confusion
from models.nets.parsing import han, wu_yang
from models.nets.parsing.baselines import talnet
from models.runtime.console import console
from models.tasks.parsing import Parsing, score_names
from models.training import checkpoint, loop
from models.training.results import RunResults
from models.training.state import Training, begin
from models.training.tables import print_results
from schemas import RECIPES, JobError, UsageError
from tests.models.commands import refused, run_command
from tests.models.data.test_pseudo_labels import labels_of
from tests.places import ROOT
from tests.stores.parsing import CLASSES, ParsingRows

SMALL = ("--hidden", "32", "--feedforward", "32", "--learning-rate", "0.01")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(script: str, *arguments: object) -> str:
    """Run a script as a user does; what it printed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "models" / script), *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=ROOT, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found


@pytest.fixture(scope="module")
def trained(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    run = tmp_path_factory.mktemp("runs") / "han"
    said = command(
        "train.py", "han", "--features", small_store, "--run", run, "--epochs", 2, *SMALL
    )
    return run, said


def test_run_folder_holds_everything(trained: tuple[Path, str]) -> None:
    run, said = trained
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "config.json", "results.json", "predictions.parquet", "checkpoint.safetensors",
        "curves.png", "timelines.png", "confusion.png",
    }  # fmt: skip
    assert "resume.safetensors" not in names
    found = results(run)
    assert found["experiment"] == "han"
    assert found["paper"]["rows"][0]["numbers"]["segment_audio"] == 56.5
    assert set(found["metrics"]) == {"val", "test"}
    assert tuple(found["metrics"]["test"]) == AVVP_NAMES
    assert set(found["classes"]["test"]["segment_audio"]) == set(CLASSES)
    assert len(found["history"]) == 2
    assert found["seconds"] > 0
    for word in ("NOT COMPARABLE", "seeded:0", found["subset_id"], "test 14", "predicting nothing"):
        assert word in said
    assert "56.5" not in said


def test_metrics_are_those_of_the_written_predictions(
    trained: tuple[Path, str], small_store: Path
) -> None:
    run, _ = trained
    table = pq.read_table(run / "predictions.parquet")
    assert json.loads(table.schema.metadata[b"classes"]) == list(CLASSES)
    rows = [row for row in table.to_pylist() if row["split"] == "test"]
    clips = open_clips(small_store, ("vggish",))
    place = {clips.keys[row]: index for index, row in enumerate(clips.rows("test").tolist())}
    decided = {name: np.zeros((len(place), 10, len(CLASSES)), bool) for name in ("heard", "seen")}
    for row in rows:
        for name, mask in decided.items():
            for label in row[name]:
                mask[place[row["clip_key"]], row["second"], CLASSES.index(label)] = True
        assert all(row["audio"][CLASSES.index(label)] >= 0.5 for label in row["heard"])
    truth = [clips.truth[name][clips.rows("test").numpy()] for name in ("audio", "visual")]
    scores = avvp_scores(decided["heard"], decided["seen"], *truth)
    assert scores == pytest.approx(results(run)["metrics"]["test"])
    confused = modality_confusion(decided["heard"], decided["seen"], *truth)
    assert confused.tolist() == results(run)["confusion"]["test"]


@pytest.mark.parametrize("split", ["test", "val"])
def test_evaluating_again_gives_the_same_numbers(trained: tuple[Path, str], split: str) -> None:
    run, _ = trained
    command("evaluate.py", "--run", run, "--split", split)
    again = json.loads((run / f"evaluation-{split}.json").read_text())
    for part in ("metrics", "floor", "intervals", "classes", "confusion"):
        assert again[part][split] == results(run)[part][split]


def test_same_seed_gives_the_same_results_and_another_seed_does_not(
    trained: tuple[Path, str], small_store: Path, tmp_path: Path
) -> None:
    first = results(trained[0]) | {"seconds": 0}
    given = ("train.py", "han", "--features", small_store, "--epochs", 2, *SMALL, "--run", tmp_path)
    command(*given)
    assert results(tmp_path) | {"seconds": 0} == first
    command(*given, "--seed", 5, "--overwrite")
    assert results(tmp_path)["history"] != first["history"]


def test_training_that_was_stopped_ends_as_one_that_was_not(
    small_store: Path, tmp_path: Path
) -> None:
    given = ("train.py", "han", "--features", small_store, "--epochs", 4, *SMALL, "--run")
    command(*given, tmp_path / "whole")
    stop = (
        "import sys\n"
        "from models import train\n"
        "from models.runtime import command_line as cli\n"
        "from models.training import session\n"
        "write = session.save_training\n"
        "def save(path, training):\n"
        "    write(path, training)\n"
        "    if training.state.epoch == 2:\n"
        "        raise KeyboardInterrupt\n"
        "session.save_training = save\n"
        "sys.exit(cli.run(train.main, sys.argv[1:]))\n"
    )
    arguments = [str(one) for one in (*given[1:], tmp_path / "cut", "--save-every-s", 0)]
    cut = subprocess.run(
        [sys.executable, "-c", stop, *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        env=ENVIRONMENT,
    )
    assert cut.returncode == 130
    assert not (tmp_path / "cut" / "results.json").exists()
    command(*given, tmp_path / "cut", "--resume")
    assert results(tmp_path / "cut") | {"seconds": 0} == results(tmp_path / "whole") | {
        "seconds": 0
    }
    assert "nothing to resume" in refused(train.main, *given[1:], tmp_path / "cut", "--resume")


def test_learning_beats_the_floor(small_store: Path, tmp_path: Path) -> None:
    command(
        "train.py", "han-plain", "--features", small_store, "--epochs", 25, "--run", tmp_path,
        *SMALL, "--decay-factor", 1,
    )  # fmt: skip
    found = results(tmp_path)
    history = found["history"]
    assert history[-1]["total"] < 0.5 * history[0]["total"]
    best = max(line["val_segment_type_av"] for line in history)
    kept = history[found["kept_epoch"] - 1]["val_segment_type_av"]
    assert kept == best
    assert found["metrics"]["val"]["segment_type_av"] == best
    assert found["metrics"]["test"]["segment_audio"] > 20 + found["floor"]["test"]["segment_audio"]


def test_seeds_give_mean_and_spread(small_store: Path, tmp_path: Path) -> None:
    said = command(
        "train.py", "han-max", "--features", small_store, "--epochs", 1, "--seeds", 2,
        "--run", tmp_path, *SMALL,
    )  # fmt: skip
    summary = json.loads((tmp_path / "seeds.json").read_text())
    values = [results(tmp_path / seed)["metrics"]["test"]["event_visual"] for seed in "12"]
    assert summary["seeds"] == [1, 2]
    found = summary["metrics"]["test"]["event_visual"]
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["std"] == pytest.approx(np.std(values, ddof=1))
    assert "over 2 seeds" in said


def test_store_without_dense_truth_gets_tagging_scores(tmp_path: Path) -> None:
    writer = ParsingRows()
    writer.events = []
    root = writer.write(tmp_path / "store", dataset="folder")
    said = command(
        "train.py", "han", "--features", root, "--epochs", 1, "--run", tmp_path / "run", *SMALL
    )
    assert "map" in said
    found = results(tmp_path / "run")
    assert set(found["metrics"]["test"]) == {"map", "mauc", "dprime"}
    assert found["kept_epoch"] == 1


def test_nothing_to_train_on_leaves_no_run_folder(tmp_path: Path) -> None:
    writer = ParsingRows()
    for row in writer.clips:
        row["split"] = "test"
    root, run = writer.write(tmp_path / "store"), tmp_path / "run"
    said = refused(train.main, "han", "--features", root, "--run", run)
    assert "no clip of split 'train'; it has test 66" in said
    assert not run.exists()


NARROW = {
    "avg": ("--hidden", 16, "--heads", 2, "--layers", 1, "--pretrain-epochs", 1),
    "baseline": (),
    "cmcs": ("--hidden", 16),
    "talnet": ("--hidden", 16),
    "ave": ("--hidden", 16),
}
"""Settings that make a model quick to train; the others take those of HAN."""
OTHER_FEATURES = ("valor++",)
"""Experiments on CLIP and CLAP, which the made-up store does not hold."""
PARSING = [
    name
    for name, (model, _) in registry.experiments().items()
    if isinstance(registry.load(model).card.task, Parsing) and name not in OTHER_FEATURES
]


@pytest.fixture(scope="module")
def labelled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small store, with pseudo labels."""
    rows = ParsingRows()
    more = {"pseudo_labels": labels_of(rows)}
    return rows.write(tmp_path_factory.mktemp("labelled"), more=more)


@pytest.mark.parametrize("name", PARSING)
def test_every_experiment_trains_and_scores_again(
    small_store: Path, labelled_store: Path, tmp_path: Path, name: str
) -> None:
    model = registry.find(name)[0]
    settings = NARROW.get(model, ("--hidden", 16, "--feedforward", 16))
    store = labelled_store if registry.load(model).pseudo_labels else small_store
    arguments = [name, "--features", store, "--run", tmp_path, "--epochs", 2, *settings]
    assert run_command(train.main, *arguments).returncode == 0
    assert run_command(evaluate.main, "--run", tmp_path).returncode == 0
    again = json.loads((tmp_path / "evaluation-test.json").read_text())
    found = results(tmp_path)["metrics"]["test"]
    assert again["metrics"]["test"] == found
    card = registry.load(registry.find(name)[0]).card
    assert set(found) == set(score_names(card.task.modalities))


def test_cleaned_labels_survive_a_stop(small_store: Path, tmp_path: Path) -> None:
    clips = open_clips(small_store, wu_yang.CARD.needs)
    config = wu_yang.Config(hidden=16, feedforward=16, classes=len(CLASSES), epochs=2)
    path = tmp_path / "resume.safetensors"

    def fresh() -> Training:
        torch.manual_seed(1)
        model, loss = wu_yang.Model(config), wu_yang.Loss(config)
        return begin(model, loss, clips, config, wu_yang.CARD.task)

    def stop(training: Training) -> None:
        if training.state.epoch == 1:
            checkpoint.save_training(path, training)

    whole, resumed = fresh(), fresh()
    dropped = clips.labels > 0
    whole.data = clips.without(dropped, ~dropped)
    loop.fit(whole, stop)
    checkpoint.load_training(path, resumed)
    assert resumed.data.dropped is not None
    assert torch.equal(resumed.data.dropped["audio"], dropped)
    loop.fit(resumed)
    assert resumed.state.history == whole.state.history


def test_resuming_with_other_settings_or_clips_is_refused(
    small_store: Path, tmp_path: Path
) -> None:
    clips = open_clips(small_store, han.CARD.needs)
    config = han.Config(hidden=8, feedforward=8, classes=len(CLASSES))
    path = tmp_path / "resume.safetensors"
    start = partial(begin, task=han.CARD.task)
    checkpoint.save_training(path, start(han.Model(config), han.Loss(config), clips, config))
    other = replace(config, batch_size=8)
    with pytest.raises(UsageError, match="started with batch_size 16, not 8; go on with the same"):
        checkpoint.load_training(path, start(han.Model(other), han.Loss(other), clips, other))
    manifest = replace(clips.manifest, data={**clips.manifest.data, "subset_id": "elsewhere"})
    moved = replace(clips, manifest=manifest)
    with pytest.raises(UsageError, match="was started on other clips"):
        checkpoint.load_training(path, start(han.Model(config), han.Loss(config), moved, config))


def test_paper_numbers_stand_beside_ours_only_on_its_data_and_weights(tmp_path: Path) -> None:
    recipe = RECIPES["llp-eccv20"]
    root = ParsingRows().write(tmp_path / "store", dataset="llp", recipe=recipe)
    given = ("train.py", "--experiment", "han-wsl", "--features", root, "--run", tmp_path / "run")
    said = command(*given, *SMALL, "--epochs", 1)
    assert "epochs 1 (paper 40)" in said
    assert "16.4" not in said


def test_published_numbers_are_printed_when_nothing_speaks_against_it(
    trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = replace(RunResults.read(trained[0] / "results.json"), caveats=())
    print_results(console(), found, han.CARD)
    said = capsys.readouterr().out
    assert "NOT COMPARABLE" not in said
    assert "56.5" in said


def test_list_names_every_row_with_the_papers_numbers() -> None:
    said = command("train.py", "--list")
    for word in ("han-transformer", "Tian et al. 2020", "50.1", "60.1"):
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["hna", "--features", "X"], "unknown model or experiment 'hna'; did you mean 'han'?"),
        ([], "say which model to train (han"),
        (["han"], "say where the features are"),
        (
            ["han", "--features", "X", "--epoch", "3"],
            "unknown option --epoch; did you mean --epochs",
        ),
        (["han", "--features", "X", "--epochs", "three"], "--epochs: invalid literal for int"),
        (["han", "--features", "X", "--pooling", "median"], "invalid choice 'median'"),
        (["han", "--features", "X", "--epochs", "0"], "epochs must be at least 1, got 0"),
        (["han", "--features", "X", "--seeds", "0"], "seeds must be at least 1, got 0"),
        (["han", "--features", "X", "--epochs"], "Missing value for argument '--epochs'"),
        (["han", "--features", "nowhere"], "nowhere holds no manifest.json"),
        (["han", "--features", "X", "--experiment", "han-grru"], "did you mean 'han-gru'?"),
    ],
)
def test_wrong_use_is_one_sentence(arguments: list[str], sentence: str) -> None:
    assert sentence in refused(train.main, *arguments)


def test_wrong_use_ends_a_process_with_status_2() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "models" / "train.py"), "hna"],
        capture_output=True, text=True, check=False, cwd=ROOT / "models", env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown model or experiment 'hna'; did you mean 'han'?")
    assert "Traceback" not in done.stderr


def test_wrong_use_of_evaluate_is_one_sentence(trained: tuple[Path, str], tmp_path: Path) -> None:
    run, _ = trained
    for arguments, sentence in (
        ((), "say which run to score"),
        (("--run", tmp_path), "has no config.json"),
        (("--run", run, "--split", "dev"), "no clip of split 'dev'"),
        (("--run", run, "--slpit", "val"), "did you mean --split"),
    ):
        assert sentence in refused(evaluate.main, *arguments)
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    (broken / "checkpoint.safetensors").unlink()
    assert "has no checkpoint.safetensors" in refused(evaluate.main, "--run", broken)


def test_loss_that_is_not_finite_stops_the_training(small_store: Path) -> None:
    config = han.Config(hidden=32, feedforward=32, classes=len(CLASSES), epochs=1)
    clips = open_clips(small_store, han.CARD.needs)
    model = han.Model(config)
    with torch.no_grad():
        model.get_parameter("fc_a.weight").fill_(float("nan"))
    training = begin(model, han.Loss(config), clips, config, han.CARD.task)
    with pytest.raises(JobError, match="no longer finite in epoch 1; try a --learning-rate below"):
        loop.fit(training)


def test_rates_follow_the_authors_schedule(small_store: Path) -> None:
    config = talnet.Config(hidden=8, classes=len(CLASSES), epochs=21, batch_size=64)
    clips = open_clips(small_store, talnet.CARD.needs)
    training = begin(talnet.Model(config), talnet.Loss(config), clips, config, talnet.CARD.task)
    loop.fit(training)
    rates = [line["rate"] for line in training.state.history]
    assert rates[:10] == [3e-4] * 10
    assert rates[10:20] == pytest.approx([3e-5] * 10)
    assert rates[20] == pytest.approx(3e-6)


def test_ties_take_the_later_epoch(small_store: Path) -> None:
    config = han.Config(hidden=8, feedforward=8, classes=len(CLASSES))
    clips = open_clips(small_store, han.CARD.needs)
    training = begin(han.Model(config), han.Loss(config), clips, config, han.CARD.task)
    for epoch, score in enumerate((30.0, 40.0, 40.0, 39.0), start=1):
        training.state.epoch = epoch
        loop.keep(training, score)
    assert training.state.kept_epoch == 3
