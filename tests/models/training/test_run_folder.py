"""Run folders: no parts of two trainings in one, nothing of a refused one, sentences for damage."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from models import evaluate, registry, train
from models.training import checkpoint, session
from models.training import run_folder as runs
from models.training.state import Training
from schemas import RECIPES, UsageError, read_store_manifest
from tests.complaints import sentence
from tests.models.commands import refused, run_command
from tests.stores.edits import edit_record
from tests.stores.parsing import RECIPE, ParsingRows

SMALL = ("--hidden", "16", "--feedforward", "16", "--epochs", "2", "--save-every-s", "0")


@pytest.fixture(scope="module")
def finished(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "han"
    given = ("han", "--features", small_store, "--run", run, *SMALL)
    assert run_command(train.main, *given).returncode == 0
    return run


def stopped_after(saves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next training be interrupted when it has been saved so many times."""
    write, count = checkpoint.save_training, [0]

    def save(path: Path, training: Training) -> None:
        write(path, training)
        count[0] += 1
        if count[0] == saves:
            raise KeyboardInterrupt

    monkeypatch.setattr(session, "save_training", save)


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found | {"seconds": 0}


def test_several_seeds_go_on_where_they_were_stopped(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["han-max", "--features", str(small_store), *SMALL, "--seeds", "3", "--run"]
    assert run_command(train.main, *given, str(tmp_path / "whole")).returncode == 0
    cut = tmp_path / "cut"
    with monkeypatch.context() as patch:
        stopped_after(10, patch)  # saves of seed 2: each epoch has three steps and an end
        assert run_command(train.main, *given, str(cut)).returncode == 130
    names = {path.name for path in cut.rglob("results.json")}
    assert (cut / "1" / "results.json").exists(), names
    assert not (cut / "2" / "results.json").exists()
    before = (cut / "1" / "results.json").read_bytes()
    assert run_command(train.main, *given, str(cut), "--resume").returncode == 0
    assert (cut / "1" / "results.json").read_bytes() == before
    for seed in "123":
        assert results(cut / seed) == results(tmp_path / "whole" / seed)
    assert (cut / "seeds.json").read_text() == (tmp_path / "whole" / "seeds.json").read_text()
    others = [*given, str(cut), "--resume", "--batch-size", "8"]
    assert "was started with batch_size 16, not 8" in refused(train.main, *others)


def test_refused_resume_changes_nothing(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    given = ["han", "--features", str(small_store), "--run", str(run), *SMALL]
    with monkeypatch.context() as patch:
        stopped_after(2, patch)
        assert run_command(train.main, *given).returncode == 130
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert set(before) == {"config.json", "resume.safetensors"}
    said = refused(train.main, *given, "--resume", "--batch-size", 8)
    assert "was started with batch_size 16, not 8" in said
    other = ParsingRows().write(tmp_path / "other", recipe=RECIPE.with_(weights="pretrained"))
    said = refused(train.main, *given, "--resume", "--features", other)
    assert "was trained on features with weights 'seeded:0'" in said
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    (run / "resume.safetensors").write_bytes(before["resume.safetensors"][:1000])
    assert "is damaged" in refused(train.main, *given, "--resume")


def test_new_training_leaves_nothing_of_the_old_one(
    finished: Path, small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "evaluation-test.json").write_text("{}")
    stopped_after(1, monkeypatch)
    given = ["han", "--features", str(small_store), "--run", str(run), *SMALL, "--seed", "9"]
    assert run_command(train.main, *given, "--overwrite").returncode == 130
    left = {path.name for path in run.iterdir()}
    assert left == {"config.json", "resume.safetensors"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": RECIPE.with_(weights="pretrained")}, "weights 'pretrained'; take"),
        ({"recipe": RECIPE.with_(name="clean")}, "name 'clean'; take a store"),
        ({"vocabulary": ["Car", "Dog", "Speech", "Violin"]}, "not the same ones in the same order"),
    ],
)
def test_features_made_otherwise_are_refused(
    finished: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    other = ParsingRows().write(tmp_path / "other", **changes)
    said = refused(evaluate.main, "--run", finished, "--features", other)
    assert sentence in said
    assert not (finished / "evaluation-test.json").exists()


def test_fold_that_a_store_has_not_is_one_sentence(small_store: Path, tmp_path: Path) -> None:
    given = ["talnet", "--features", str(small_store), "--run", str(tmp_path / "run")]
    options = ["--folds", "3", "--epochs", "1", "--hidden", "8"]
    assert run_command(train.main, *given, *options).returncode == 0
    assert run_command(evaluate.main, "--run", str(tmp_path / "run" / "fold-val")).returncode == 0
    writer = ParsingRows()
    for row in writer.clips:
        row["split"] = "train" if row["split"] == "val" else row["split"]
    other = writer.write(tmp_path / "other")
    wrong = ["--run", tmp_path / "run" / "fold-val", "--features", other]
    said = refused(evaluate.main, *wrong)
    assert "was tested on fold 'val' and" in said
    assert "has the folds 1, 2, 3; score it on the store" in said


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("checkpoint.safetensors", b"abc", "checkpoint.safetensors is damaged"),
        ("config.json", b"{}", "has no 'experiment', so"),
        ("config.json", b"[1]", "config.json holds no settings, so"),
        ("config.json", b'{"exp', "is not readable JSON"),
        ("config.json", b'{"experiment": "x", "model": "x", "settings": {}, "classes": ["a"]}',
         "is of another version of this program (unknown model or experiment 'x'"),
        ("config.json", b'{"experiment": "han", "model": "han", "settings": {"x": 1}, '
         b'"classes": ["a"]}', "is of another version of this program (unknown setting 'x'"),
    ],
)  # fmt: skip
def test_damaged_run_folder_is_one_sentence(
    finished: Path, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / name).write_bytes(content)
    assert sentence in refused(evaluate.main, "--run", run)
    assert "has no config.json" in refused(evaluate.main, "--run", run / "config.json")


def test_place_that_cannot_be_written_is_one_sentence(small_store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    given = ["han", "--features", str(small_store), "--run", str(tmp_path / "file"), *SMALL]
    assert f"{tmp_path / 'file'} cannot be written (" in sentence(
        run_command(train.main, *given), 1
    )


def test_finished_run_is_replaced_only_when_that_is_asked_for(
    finished: Path, small_store: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    given = ["han", "--features", small_store, "--run", run, *SMALL]
    said = refused(train.main, *given)
    assert f"{run} holds a finished run; take another --run folder, or replace it with" in said
    both = refused(train.main, *given, "--overwrite", "--resume")
    assert "give one of them" in both
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert run_command(train.main, *given, "--overwrite", "--seed", 2).returncode == 0
    assert results(run)["seed"] == 2
    seeds = ["han", "--features", small_store, "--run", tmp_path / "seeds", *SMALL, "--seeds", 2]
    shutil.copytree(finished, tmp_path / "seeds" / "2")
    assert "holds a finished run" in refused(train.main, *seeds)
    assert not (tmp_path / "seeds" / "1").exists()


def test_without_a_folder_the_next_free_one_is_taken(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["han", "--features", str(small_store), *SMALL]
    assert run_command(train.main, *given).returncode == 0
    with monkeypatch.context() as patch:
        stopped_after(1, patch)
        assert run_command(train.main, *given).returncode == 130
    names = {path.name for path in (tmp_path / "runs").iterdir()}
    assert names == {"han-1", "han-1_2"}
    assert run_command(train.main, *given, "--resume").returncode == 0
    assert results(tmp_path / "runs" / "han-1_2") == results(tmp_path / "runs" / "han-1")


def test_two_trainings_do_not_share_a_folder(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    given = ["han", "--features", small_store, "--run", run, *SMALL]
    with runs.held(run):
        said = refused(train.main, *given)
        assert f"another training is writing to {run}; wait for it or take another" in said
        assert not list(run.iterdir())
    assert not run.exists()


def test_training_stopped_before_its_first_save_begins_again(
    small_store: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    given = ["han", "--features", str(small_store), "--run", str(run), *SMALL]

    def interrupt(path: Path, training: Training) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session, "save_training", interrupt)
        assert run_command(train.main, *given).returncode == 130
    assert {path.name for path in run.iterdir()} == {"config.json"}
    assert run_command(train.main, *given, "--resume").returncode == 0
    assert results(run) == results(finished)


def test_list_goes_alone() -> None:
    said = refused(train.main, "--list", "--epochs", 3)
    assert "--list shows all experiments and goes alone, without --epochs 3" in said


def test_experiment_may_be_given_with_an_equals_sign() -> None:
    method, experiment, _, config = train.read_arguments(["--experiment=han-gru", "--epochs=3"])
    assert (method.card.name, experiment.name, config.epochs) == ("han", "han-gru", 3)


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("pooling", "median", "pooling must be one of .*attentive.*, got 'median'"),
        ("hidden", "x", "hidden must be a whole number, got 'x'"),
        ("classes", 2.5, "classes must be a whole number, got 2.5"),
        ("learning_rate", float("nan"), "learning_rate must be above 0 and finite, got nan"),
        ("hidden", 0, "hidden must be even and at least 2, got 0"),
        ("feedforward", -3, "feedforward must be at least 1, got -3"),
        ("weight_decay", -1.0, "weight_decay must be 0 or above, got -1.0"),
    ],
)
def test_impossible_settings_are_refused(setting: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        registry.build("han", **{setting: value})


def test_dropout_is_a_share() -> None:
    with pytest.raises(ValueError, match="dropout must be from 0 to below 1, got 2"):
        registry.build("two_stream", dropout=2.0)


def test_store_manifest_without_an_entry_is_refused(tmp_path: Path) -> None:
    root = ParsingRows().write(tmp_path / "store")
    edit_record(root / "manifest.json", lambda manifest: manifest.pop("recipe"))
    with pytest.raises(UsageError, match=r"manifest\.json .*'recipe'.*; run the "):
        read_store_manifest(root)


def test_components_over_other_windows_are_other_features() -> None:
    every = RECIPES["llp-eccv20"].with_(extractors=("ncp",))
    before = every.with_(ncp_windows="loudest")  # says nothing of it
    for one, other in ((every, before), (before, every)):
        said = runs.other_setting(one.to_json(), other.to_json(), ("components",))
        assert said == "ncp_windows"
        assert runs.other_setting(one.to_json(), other.to_json(), ("segments",)) is None
    assert runs.other_setting(before.to_json(), before.to_json(), ("components",)) is None


def test_boxes_that_are_chosen_otherwise_are_other_features() -> None:
    spread = RECIPES["llp-eccv20"]
    before = spread.with_(proposals_choice="best")  # says nothing of it
    searched = spread.with_(proposals_source="selective-search")
    for one, other, setting in (
        (spread, before, "proposals_choice"),
        (before, spread, "proposals_choice"),
        (spread, searched, "proposals_source"),
        (spread, spread.with_(proposals_overlap=0.4), "proposals_overlap"),
    ):
        assert runs.other_setting(one.to_json(), other.to_json(), ("proposals",)) == setting
        assert runs.other_setting(one.to_json(), other.to_json(), ("segments",)) is None
