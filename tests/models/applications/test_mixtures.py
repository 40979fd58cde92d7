"""Mixtures of two known sources: drawn, mixed, measured."""

from pathlib import Path

import numpy as np
import pytest

from models.applications import mixtures
from models.applications.media_files import write_waveform
from models.applications.new_media import open_run
from schemas import UsageError
from schemas.demo import SOURCES_FOLDER
from tests.models.waveforms import component_scores, tone
from tests.stores.parsing import CLASSES

NOTHING = [0.0, 0.0, 0.0, 0.0]


def test_mixtures_have_the_level_that_was_asked_for() -> None:
    mixture = mixtures.mix(("Dog", "Car"), [tone(440, 0, 1), 0.01 * tone(900, 0, 3)], 6.0)
    first, second = ((source**2).sum() for source in mixture.sources)
    assert 10 * np.log10(first / second) == pytest.approx(6.0, abs=1e-3)
    assert np.abs(mixture.waveform).max() == pytest.approx(0.9)


def test_ideal_weights_name_the_components_of_the_source() -> None:
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    scores = component_scores(low, high, components=[NOTHING, NOTHING], clip=NOTHING)
    mixture = mixtures.Mixture(labels=("Dog", "Car"), sources=(low, high))
    assert mixtures.ideal_weights(mixture, 0, scores).tolist() == [1.0, 0.0]
    assert mixtures.ideal_weights(mixture, 1, scores).tolist() == [0.0, 1.0]


def test_mixtures_are_of_two_classes_and_follow_the_seed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no clean sources of two of the run's classes; make"):
        list(mixtures.draw_mixtures(tmp_path, CLASSES, 8, 0.0, 3))
    folder = tmp_path / SOURCES_FOLDER
    folder.mkdir()
    for index, label in enumerate(CLASSES[:3]):
        write_waveform(folder / f"demo0000_0_10_{index}_{label}.wav", tone(440 * (index + 1), 0, 2))
    first, again, other = (
        [mixture.labels for mixture in mixtures.draw_mixtures(tmp_path, CLASSES, 8, 0.0, seed)]
        for seed in (3, 3, 4)
    )
    assert len(first) == 8
    assert all(one != two for one, two in first)
    assert again == first
    assert other != first


def test_gain_counts_nothing_for_a_label_that_is_not_detected(components_run: Path) -> None:
    run = open_run(components_run)
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    mixture = mixtures.Mixture(labels=(CLASSES[0], CLASSES[1]), sources=(low, high))
    scores = component_scores(
        low, high, components=[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]],
        clip=[1.0, 0.0, 0.0, 0.0],
    )  # fmt: skip
    first, second = mixtures.measure(run, mixture, scores, 0.1)
    assert first["known_hard"] > 15
    assert first["unknown_hard"] == first["known_hard"]
    assert second["known_hard"] > 15
    assert second["unknown_hard"] == 0.0
    assert (first["label_found"], second["label_found"]) == (1.0, 0.0)
    assert first["ideal"] == pytest.approx(first["known_hard"])
    means = mixtures.mean_gains([first, second])
    assert means["mean"]["unknown_hard"] == pytest.approx(first["known_hard"] / 2)
    assert mixtures.gain_table({"sources": 2, **means}).row_count == 5
