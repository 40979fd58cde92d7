"""The command separate: with a real features job, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest

from models import mixtures, separate, train
from models.applications.media_files import read_waveform, write_waveform
from tests.models.commands import refused, run_command
from tests.models.waveforms import RATE, tone
from tests.stores.bags import write_bag_store


def test_noise_goes_through_the_real_features_job(components_run: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = (0.1 * random.standard_normal(2 * RATE)).astype(np.float32)
    write_waveform(tmp_path / "noise.wav", noise)
    out = tmp_path / "out"
    arguments = ("--run", components_run, tmp_path / "noise.wav", "--label", "Dog", "--out", out)
    done = run_command(separate.main, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    source, rest = (read_waveform(out / f"Dog{end}.wav", 2) for end in ("", "-rest"))
    np.testing.assert_allclose(source + rest, noise, atol=2e-4)
    assert (out / "Dog.png").stat().st_size > 10_000
    assert (out / "separation.html").read_text().count("<audio") == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "say which run and which media"),
        (("--label", "Dgo", "AUDIO"), "unknown label 'Dgo'; did you mean 'Dog'? Known: Car,"),
        (("nowhere.wav",), "nowhere.wav is not a file"),
        (("--lable", "Dog", "AUDIO"), "unknown option --lable; did you mean --label"),
        (("--tau", "2", "AUDIO"), "tau must be from 0 to 1, got 2.0"),
        (("TEXT",), "is no media file by its ending"),
    ],
)
def test_wrong_use_is_one_sentence(
    components_run: Path, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    audio, text = tmp_path / "audio.wav", tmp_path / "notes.txt"
    write_waveform(audio, tone(440, 0, 2))
    text.write_text("no audio")
    paths = {"AUDIO": str(audio), "TEXT": str(text)}
    given = [paths.get(word, word) for word in arguments]
    complaint = refused(separate.main, "--run", components_run, *given)
    assert sentence in complaint


def test_run_of_another_kind_is_refused(tmp_path: Path) -> None:
    store = write_bag_store(tmp_path / "store")
    run = tmp_path / "run"
    options = ("--features", store, "--run", run, "--epochs", 1, "--hidden", 8)
    assert run_command(train.main, "two_stream-audio", *options).returncode == 0
    write_waveform(tmp_path / "a.wav", tone(440, 0, 2))
    complaint = refused(separate.main, "--run", run, tmp_path / "a.wav")
    assert "scores segments, not components of the audio; train ncp_mil-audio" in complaint


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--mixtures", 0, "mixtures must be at least 1, got 0"),
        ("--seed", -1, "seed must be from 0 to 4294967295, got -1"),
        ("--tau", 2, "tau must be from 0 to 1, got 2.0"),
        ("--level-db", "nan", "level_db must be from -60 to 60 dB, got nan"),
    ],
)
def test_impossible_mixtures_are_refused(option: str, value: object, sentence: str) -> None:
    given = ("--run", "RUN", "--sources", "DEMO", option, value)
    assert sentence in refused(mixtures.main, *given)


def test_mixtures_need_clean_sources(components_run: Path, tmp_path: Path) -> None:
    complaint = refused(mixtures.main, "--run", components_run, "--sources", tmp_path)
    assert (
        "has clean sources of 0 of the run's 4 classes, and a mixture needs two; make" in complaint
    )
