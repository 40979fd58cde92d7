"""Sources of the classes of one clip: what is written, with labels of any kind."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.applications.media_files import Audio, read_audio, read_waveform, write_audio
from models.applications.new_media import open_run
from models.applications.separation import components
from models.applications.separation.scores import si_sdr
from models.applications.separation.sources import (
    refuse_silence,
    separate_sources,
    source_table,
    warn_of_clipping,
    write_separation,
)
from models.data.clips import open_clips
from schemas import UsageError
from tests.models.waveforms import RATE, SECONDS, tone
from tests.models.waveforms import component_scores as scores_of
from tests.stores.bags import write_bag_store
from tests.stores.parsing import CLASSES


def test_source_is_written_as_waveform_figure_and_shares(tmp_path: Path) -> None:
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    scores = scores_of(
        low, high, components=[[0.9, 0.0, 0.0, 0.0], [0.1, 0.8, 0.0, 0.0]],
        clip=[0.9, 0.8, 0.1, 0.1],
    )  # fmt: skip
    audio = Audio(samples=np.stack([low + high, low]), rate=RATE)
    sources = separate_sources(low + high, audio, scores, {CLASSES[0]: 0}, "hard", 0.2)
    write_separation(tmp_path, low + high, sources, "data set x")
    names = {f"{CLASSES[0]}.wav", f"{CLASSES[0]}-rest.wav", f"{CLASSES[0]}.png", "separation.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    source = read_audio(tmp_path / f"{CLASSES[0]}.wav")
    assert (source.rate, source.samples.shape) == (RATE, (2, SECONDS * RATE))
    assert si_sdr(source.samples[0], low) > si_sdr(low + high, low) + 10
    assert json.loads((tmp_path / "separation.json").read_text()) == {
        "components": {CLASSES[0]: [1.0, 0.0]}
    }
    assert list(source_table(sources).columns[2].cells) == ["1 of 2"]


@pytest.mark.parametrize(("seconds", "rate", "channels"), [(5, 8_000, 6), (60, 44_100, 2)])
def test_short_and_long_clips_keep_rate_channels_and_length(
    tmp_path: Path, seconds: int, rate: int, channels: int
) -> None:
    samples = seconds * rate + 17
    time = np.arange(samples) / rate
    parts = [0.3 * np.sin(2 * np.pi * pitch * time) for pitch in (440, 3000)]
    gain = np.linspace(1.0, 0.5, channels)[:, None]
    mixture = (gain * (parts[0] + parts[1])).astype(np.float32)
    clip = tmp_path / "clip.wav"
    write_audio(clip, Audio(samples=mixture, rate=rate))
    low, high = (np.resize(tone(pitch, 0, SECONDS), seconds * RATE) for pitch in (440, 3000))
    scores = scores_of(
        low, high, components=[[0.9, 0.0, 0.0, 0.0], [-0.9, 0.9, 0.0, 0.0]],
        clip=[0.9, 0.9, 0.1, 0.1],
    )  # fmt: skip
    waveform, audio = read_waveform(clip, seconds), read_audio(clip)
    sources = separate_sources(
        waveform, audio, replace(scores, seconds=seconds), {CLASSES[0]: 0}, "contest", 0.1
    )
    write_separation(tmp_path, waveform, sources, "data set x")
    source, rest = (read_audio(tmp_path / f"{CLASSES[0]}{end}.wav") for end in ("", "-rest"))
    for written in (source, rest):
        assert (written.rate, written.samples.shape) == (rate, (channels, samples))
    np.testing.assert_allclose(source.samples + rest.samples, audio.samples, atol=2e-4)
    true = (gain * parts[0]).astype(np.float32)
    for own, both, one in zip(source.samples, mixture, true, strict=True):
        assert si_sdr(own, one) > si_sdr(both, one) + 10


def test_classes_may_have_any_name(tmp_path: Path) -> None:
    low = tone(440, 0, 2)
    scores = scores_of(low, components=[[0.9, 0.8, 0.7, 0.6]], clip=[0.9, 0.8, 0.7, 0.6])
    names = ("$\\frac$", "rest", "$/frac", "x" * 4000 + "\x00")
    columns = {name: index for index, name in enumerate(names)}
    sources = separate_sources(
        low, Audio(samples=low[None], rate=RATE), scores, columns, "soft", 0.1
    )
    write_separation(tmp_path, low, sources, "data set x")
    assert len(list(tmp_path.glob("*.wav"))) == 2 * len(names)
    assert len(list(tmp_path.glob("*.png"))) == len(names)
    assert set(json.loads((tmp_path / "separation.json").read_text())["components"]) == set(names)


def test_silence_is_refused() -> None:
    refuse_silence(tone(440, 0, 1), Path("a.wav"))
    with pytest.raises(UsageError, match=r"^a\.wav is silent from start to end: nothing to sep"):
        refuse_silence(np.zeros(16_000, np.float32), Path("a.wav"))


def test_clipped_media_are_named(caplog: pytest.LogCaptureFixture) -> None:
    loud = np.clip(5 * tone(440, 0, 3), -1, 1)
    warn_of_clipping(Audio(samples=loud[None], rate=RATE), Path("a.wav"))
    assert "a.wav is clipped (" in caplog.text
    caplog.clear()
    warn_of_clipping(Audio(samples=tone(440, 0, 3)[None], rate=RATE), Path("a.wav"))
    assert not caplog.text


def test_clip_without_audio_is_refused(components_run: Path, tmp_path: Path) -> None:
    run = open_run(components_run)
    data = open_clips(write_bag_store(tmp_path), run.needs, classes=run.classes)
    scores = components.score_components(run, data, 0, "film.mp4")
    assert scores.components.shape == scores.classes.shape == (6, len(CLASSES))
    assert np.isfinite(scores.clip).all()
    data.present["components"][0] = False
    with pytest.raises(UsageError, match=r"film\.mp4 has no audio track, so there"):
        components.score_components(run, data, 0, "film.mp4")
