"""Separation: the masks, the measure, the command on made-up sounds, and what it refuses."""

import contextlib
import io
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models import mixtures, separate, train
from models.applications import component_scores, new_media
from models.applications import separation as nmf
from models.applications.media_files import read_sound, write_sound
from models.data.clips import open_clips
from models.runtime import command_line as cli
from schemas import JobError, UsageError
from schemas.demo import SOURCES_FOLDER
from tests.stores.bags import write_bag_store
from tests.stores.parsing import CLASSES

SECONDS, RATE = 3, 16_000
Wave = NDArray[np.float32]


def tone(pitch: float, start: float, stop: float) -> Wave:
    time = np.arange(SECONDS * RATE) / RATE
    inside = (time >= start) & (time < stop)
    return (0.3 * inside * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


def parts(*sounds: Wave) -> tuple[torch.Tensor, torch.Tensor]:
    """One component a sound: its mean spectrum and how strong it is over time."""
    hann = torch.hann_window(nmf.WINDOW)
    w, h = [], []
    for sound in sounds:
        wave_ = torch.from_numpy(sound)
        size = torch.stft(wave_, nmf.WINDOW, nmf.HOP, window=hann, return_complex=True).abs()
        w.append(size.mean(dim=1) / size.mean(dim=1).sum())
        h.append(size.sum(dim=0))
    return torch.stack(w), torch.stack(h)


def test_hard_weights_follow_the_threshold_and_soft_ones_the_scores() -> None:
    scores = torch.tensor([-3.0, -2.75, -2.6, 2.0])
    assert nmf.component_weights(scores, "hard", 0.05).tolist() == [0.0, 1.0, 1.0, 1.0]
    assert nmf.component_weights(scores, "hard", 0.07).tolist() == [0.0, 0.0, 1.0, 1.0]
    torch.testing.assert_close(
        nmf.component_weights(scores, "soft"), torch.tensor([0.0, 0.05, 0.08, 1.0])
    )
    assert nmf.component_weights(torch.zeros(3), "soft").tolist() == [1.0, 1.0, 1.0]


def test_source_and_rest_add_up_and_the_mask_takes_the_source_out() -> None:
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    w, h = parts(low, high)
    source, rest = nmf.separate(low + high, w, h, torch.tensor([1.0, 0.0]))
    np.testing.assert_allclose(source + rest, low + high, atol=1e-6)
    before = nmf.si_sdr(low + high, low)
    assert nmf.si_sdr(source, low) > before + 15
    assert nmf.si_sdr(rest, high) > before + 15
    everything, nothing = nmf.separate(low + high, w, h, torch.ones(2))
    np.testing.assert_allclose(everything[600:-600], (low + high)[600:-600], atol=1e-4)
    assert np.abs(nothing[600:-600]).max() < 1e-4


def test_silence_has_a_mask_of_zeros() -> None:
    mask = nmf.source_mask(torch.full((2, 513), 1 / 513), torch.zeros(2, 9), torch.ones(2))
    assert not mask.any()


def test_si_sdr_is_what_it_says() -> None:
    random = np.random.default_rng(0)
    source = random.normal(size=8000).astype(np.float32)
    noise = random.normal(size=8000).astype(np.float32)
    noise -= (noise @ source) / (source @ source) * source
    for ratio in (-10.0, 0.0, 20.0):
        scaled = noise * np.sqrt((source @ source) / (noise @ noise) / 10 ** (ratio / 10))
        assert nmf.si_sdr(source + scaled, source) == pytest.approx(ratio, abs=0.05)
        assert nmf.si_sdr(-3 * (source + scaled), source) == pytest.approx(ratio, abs=0.05)
    assert nmf.si_sdr(2 * source, source) == float("inf")
    with pytest.raises(ValueError, match="the source is silent"):
        nmf.si_sdr(source, np.zeros(8000, np.float32))


def test_sound_survives_the_file(tmp_path: Path) -> None:
    sound = tone(440, 0, 2)
    write_sound(tmp_path / "a.wav", sound)
    np.testing.assert_allclose(read_sound(tmp_path / "a.wav", SECONDS), sound, atol=1e-4)
    assert len(read_sound(tmp_path / "a.wav", 5)) == 5 * RATE
    with wave.open(str(tmp_path / "a.wav"), "rb") as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 1)


def test_mixtures_have_the_level_that_was_asked_for() -> None:
    one = mixtures.mix(("Dog", "Car"), [tone(440, 0, 1), 0.01 * tone(900, 0, 3)], 6.0)
    first, second = ((source**2).sum() for source in one.sources)
    assert 10 * np.log10(first / second) == pytest.approx(6.0, abs=1e-3)
    assert np.abs(one.sound).max() == pytest.approx(0.9)


def test_ideal_weights_name_the_components_of_the_source() -> None:
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    w, h = parts(low, high)
    one = mixtures.Mixture(labels=("Dog", "Car"), sources=(low, high))
    heard = component_scores.Heard(
        w=w, h=h, components=torch.zeros(2, 4), clip=np.zeros(4, np.float32), seconds=SECONDS
    )
    assert mixtures.ideal_weights(one, 0, heard).tolist() == [1.0, 0.0]
    assert mixtures.ideal_weights(one, 1, heard).tolist() == [0.0, 1.0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run over components."""
    root = write_bag_store(tmp_path_factory.mktemp("store"))
    folder = tmp_path_factory.mktemp("runs") / "ncp"
    arguments = ["ncp_mil-audio", "--features", root, "--run", folder, "--epochs", 20]
    arguments += ["--learning-rate", 0.01, "--hidden", 16]
    assert cli.run(train.main, [str(one) for one in arguments]) == 0
    return folder


def said(main: object, *arguments: object) -> tuple[int, str]:
    """Exit status and what was complained about."""
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        status = cli.run(main, [str(one) for one in arguments])  # type: ignore[arg-type]
    return status, out.getvalue()


def made_store(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """Let the features job be one that has run already."""

    @contextlib.contextmanager
    def ready(*_: object, **__: object) -> Iterator[Path]:
        yield root

    monkeypatch.setattr(separate, "new_features", ready)


def test_command_leaves_sounds_figures_and_scores(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    media = tmp_path / "mixture.wav"
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    write_sound(media, low + high)
    w, h = parts(low, high)
    heard = component_scores.Heard(
        w=w, h=h, components=torch.tensor([[0.9, 0.0, 0.0, 0.0], [0.1, 0.8, 0.0, 0.0]]),
        clip=np.array([0.9, 0.8, 0.1, 0.1], np.float32), seconds=SECONDS,
    )  # fmt: skip
    made_store(monkeypatch, write_bag_store(tmp_path / "store"))
    monkeypatch.setattr(separate, "hear", lambda *_: heard)
    out = tmp_path / "out"
    arguments = ("--run", run, media, "--label", CLASSES[0], "--tau", 0.2, "--out", out)
    assert said(separate.main, *arguments) == (0, "")
    names = {f"{CLASSES[0]}.wav", f"{CLASSES[0]}-rest.wav", f"{CLASSES[0]}.png", "separation.json"}
    assert {path.name for path in out.iterdir()} == names
    source = read_sound(out / f"{CLASSES[0]}.wav", SECONDS)
    assert nmf.si_sdr(source, low) > nmf.si_sdr(low + high, low) + 10
    assert "1 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ((), 2, "say which run and which media"),
        (("--label", "Dgo", "SOUND"), 2, "unknown label 'Dgo'; did you mean 'Dog'? Known: Car,"),
        (("nowhere.wav",), 2, "nowhere.wav is not a file"),
        (("--lable", "Dog", "SOUND"), 2, "unknown option --lable; did you mean --label"),
        (("--tau", "2", "SOUND"), 2, "tau must be from 0 to 1, got 2.0"),
        (("TEXT",), 2, "is no media file by its ending"),
    ],
)
def test_wrong_use_is_one_sentence(
    run: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    sound, text = tmp_path / "sound.wav", tmp_path / "notes.txt"
    write_sound(sound, tone(440, 0, 2))
    text.write_text("no sound")
    places = {"SOUND": str(sound), "TEXT": str(text)}
    given = [places.get(one, one) for one in arguments]
    found = said(separate.main, "--run", run, *given)
    assert found[0] == status
    assert sentence in found[1]
    assert found[1].count("\n") == 1


def test_run_of_another_kind_is_refused(tmp_path: Path) -> None:
    root = write_bag_store(tmp_path / "store")
    arguments = ["two_stream-audio", "--features", str(root), "--run", str(tmp_path / "run")]
    assert cli.run(train.main, [*arguments, "--epochs", "1", "--hidden", "8"]) == 0
    write_sound(tmp_path / "a.wav", tone(440, 0, 2))
    status, sentence = said(separate.main, "--run", tmp_path / "run", tmp_path / "a.wav")
    assert status == 2
    assert "scores segments, not components of the sound; train ncp_mil-audio" in sentence


def test_silent_media_and_media_without_sound_are_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "silent.wav"
    write_sound(silent, np.zeros(SECONDS * RATE, np.float32))
    made_store(monkeypatch, write_bag_store(tmp_path / "store"))
    status, sentence = said(separate.main, "--run", run, silent, "--label", "Dog")
    assert (status, sentence) == (
        2, f"error: {silent} is silent from start to end: nothing to separate\n"
    )  # fmt: skip
    opened = new_media.open_run(run)
    data = open_clips(write_bag_store(tmp_path / "other"), opened.needs, classes=opened.classes)
    data.present["components"][0] = False
    with pytest.raises(UsageError, match=r"film\.mp4 has no sound track, so there"):
        component_scores.hear(opened, data, 0, "film.mp4")


def test_without_a_class_in_it_the_best_one_is_named(run: Path) -> None:
    opened = new_media.open_run(run)
    nothing = np.array([0.0, 0.001, 0.0, 0.0], np.float32)
    with pytest.raises(JobError, match=r"finds none of its 4 classes in a\.wav; name"):
        new_media.found_labels(opened, nothing, "a.wav")


def test_noise_goes_through_the_whole_chain(run: Path, tmp_path: Path) -> None:
    """The real features job on a real file; the figures are drawn, nothing is claimed."""
    random = np.random.default_rng(0)
    noise = (0.1 * random.standard_normal(2 * RATE)).astype(np.float32)
    write_sound(tmp_path / "noise.wav", noise)
    out = tmp_path / "out"
    arguments = ("--run", run, tmp_path / "noise.wav", "--label", "Dog", "--out", out)
    status, complaint = said(separate.main, *arguments)
    assert (status, complaint) == (0, "")
    source, rest = (read_sound(out / f"Dog{end}.wav", 2) for end in ("", "-rest"))
    np.testing.assert_allclose(source + rest, noise, atol=2e-4)
    assert (out / "Dog.png").stat().st_size > 10_000


def test_mixtures_need_clean_sounds_of_two_classes(run: Path, tmp_path: Path) -> None:
    status, complaint = said(mixtures.main, "--run", run, "--sources", tmp_path)
    assert status == 2
    assert "has no clean sounds of two of the run's classes; make them with: beam demo" in complaint
    sounds = tmp_path / SOURCES_FOLDER
    sounds.mkdir()
    for index, label in enumerate(CLASSES[:3]):
        write_sound(sounds / f"demo0000_0_10_{index}_{label}.wav", tone(440 * (index + 1), 0, 2))
    options = mixtures.Options(mixtures=8, seed=3)
    drawn = list(mixtures.draw(tmp_path, CLASSES, options))
    assert len(drawn) == 8
    assert all(one.labels[0] != one.labels[1] for one in drawn)
    again = list(mixtures.draw(tmp_path, CLASSES, options))
    assert [one.labels for one in again] == [one.labels for one in drawn]
    other = list(mixtures.draw(tmp_path, CLASSES, mixtures.Options(mixtures=8, seed=4)))
    assert [one.labels for one in other] != [one.labels for one in drawn]


def test_gain_counts_nothing_for_a_label_that_is_not_found(run: Path) -> None:
    opened = new_media.open_run(run)
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    w, h = parts(low, high)
    one = mixtures.Mixture(labels=(CLASSES[0], CLASSES[1]), sources=(low, high))
    heard = component_scores.Heard(
        w=w, h=h, components=torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]),
        clip=np.array([1.0, 0.0, 0.0, 0.0], np.float32), seconds=SECONDS,
    )  # fmt: skip
    first, second = mixtures.measure(opened, one, heard, mixtures.Options(), 0)
    assert first["known_hard"] > 15
    assert first["unknown_hard"] == first["known_hard"]
    assert second["known_hard"] > 15
    assert second["unknown_hard"] == 0.0
    assert (first["label_found"], second["label_found"]) == (1.0, 0.0)
    assert first["ideal"] == pytest.approx(first["known_hard"])
    found = mixtures.means([first, second])
    assert found["mean"]["unknown_hard"] == pytest.approx(first["known_hard"] / 2)
    assert mixtures.table({"sources": 2, **found}).row_count == 5
