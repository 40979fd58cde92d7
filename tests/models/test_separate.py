"""The command separate: with a real features job, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest

from models import mixtures, separate, train
from models.applications.media_files import (
    Audio,
    read_audio,
    read_waveform,
    write_audio,
    write_waveform,
)
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


def test_clipped_clip_of_8_khz_and_6_channels_is_separated_with_a_warning(
    components_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip, out = tmp_path / "clip.wav", tmp_path / "out"
    loud = np.clip(5 * tone(440, 0, 1)[:RATE:2], -1, 1)
    write_audio(clip, Audio(samples=np.tile(loud, (6, 1)), rate=8_000))
    done = run_command(separate.main, "--run", components_run, clip, "--label", "Dog", "--out", out)
    assert done.returncode == 0
    assert "clip.wav is clipped (" in caplog.text
    for end in ("", "-rest"):
        written = read_audio(out / f"Dog{end}.wav")
        assert (written.rate, written.samples.shape) == (8_000, (6, 8_000))


def test_silent_clip_is_one_sentence_and_leaves_nothing(
    components_run: Path, tmp_path: Path
) -> None:
    write_waveform(tmp_path / "a.wav", np.zeros(RATE, np.float32))
    given = ("--run", components_run, tmp_path / "a.wav", "--label", "Dog")
    complaint = refused(separate.main, *given, "--out", tmp_path / "out")
    assert "a.wav is silent from start to end: nothing to separate" in complaint
    assert not (tmp_path / "out").exists()


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
