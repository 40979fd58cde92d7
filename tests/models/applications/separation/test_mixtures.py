"""Mixtures of two known sources: measured, beside what needs no run."""

from pathlib import Path

import numpy as np
import pytest

from models.applications.media_files import write_waveform
from models.applications.new_media import open_run
from models.applications.separation import mixtures
from models.applications.separation.baselines import Dictionaries, hpss
from models.applications.separation.scores import si_sdr
from models.applications.separation.stems import Mixture
from tests.models.waveforms import RATE, SECONDS, component_scores, tone
from tests.stores.parsing import CLASSES

NOTHING = [0.0, 0.0, 0.0, 0.0]
FIRST, SECOND = CLASSES[:2]


def test_ideal_weights_name_the_components_of_the_source() -> None:
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    scores = component_scores(low, high, components=[NOTHING, NOTHING], clip=NOTHING)
    mixture = Mixture(labels=("Dog", "Car"), sources=(low, high))
    assert mixtures.ideal_weights(mixture, 0, scores).tolist() == [1.0, 0.0]
    assert mixtures.ideal_weights(mixture, 1, scores).tolist() == [0.0, 1.0]


def test_gain_counts_nothing_for_a_label_that_is_not_detected(components_run: Path) -> None:
    run = open_run(components_run)
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    mixture = Mixture(labels=(FIRST, SECOND), sources=(low, high))
    scores = component_scores(
        low, high, components=[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]],
        classes=[[2.0, -2.0, -2.0, -2.0], [-2.0, 2.0, -2.0, -2.0]], clip=[1.0, 0.0, 0.0, 0.0],
    )  # fmt: skip
    first, second = mixtures.measure_mixtures(run, [mixture], [scores], 0.1)
    for rule in ("hard", "contest"):
        assert first[f"known_{rule}"] > 15
        assert first[f"unknown_{rule}"] == pytest.approx(first[f"known_{rule}"], abs=1e-4)
        assert second[f"known_{rule}"] > 15
        assert second[f"unknown_{rule}"] == 0.0
        assert second[f"unknown_{rule}_sir"] == pytest.approx(second["mixture_sir"])
        assert first[f"known_{rule}_sir"] > first["mixture_sir"] + 15
    assert np.isnan(second["unknown_hard_sar"])
    assert np.isnan(second["mixture_sar"])
    assert (first["label_found"], second["label_found"]) == (1.0, 0.0)
    assert first["ideal"] == pytest.approx(first["known_hard"])
    means = mixtures.mean_scores([first, second])
    assert means["mean"]["unknown_hard"] == pytest.approx(first["known_hard"] / 2)
    table = mixtures.score_table({"level_db": 0.0, **means})
    assert table.row_count == len(mixtures.METHODS) - 1  # no clean sources to learn from
    assert "dictionary" not in first


def test_spectra_of_clean_sources_separate_what_is_new(tmp_path: Path) -> None:
    stems = {}
    for label, pitch in ((FIRST, 440), (SECOND, 3000)):
        stems[label] = [tmp_path / f"{label}{take}.wav" for take in range(2)]
        for path in stems[label]:
            write_waveform(path, tone(pitch, 0, 2))
    mixed = frozenset(paths[0] for paths in stems.values())
    known = Dictionaries(stems, mixed)
    assert known.paths == {label: paths[1:] for label, paths in stems.items()}
    assert known.knows(FIRST)
    assert not Dictionaries(
        stems, frozenset(path for paths in stems.values() for path in paths)
    ).knows(FIRST)
    low, high = tone(440, 0, 3), tone(3000, 1, 3)
    estimate = known.separate(low + high, FIRST)
    assert si_sdr(estimate, low) > si_sdr(low + high, low) + 15


def test_harmonic_and_percussive_parts_go_where_they_fit() -> None:
    clicks = np.zeros(SECONDS * RATE, np.float32)
    clicks[800::4000] = 0.9
    mixture = Mixture(labels=(FIRST, SECOND), sources=(clicks, tone(440, 0, 3)))
    before = [si_sdr(mixture.waveform, source) for source in mixture.sources]
    after = [
        si_sdr(part, source) for part, source in zip(hpss(mixture), mixture.sources, strict=True)
    ]
    assert all(new > old + 5 for new, old in zip(after, before, strict=True))


def test_source_of_which_nothing_is_left_counts_a_bounded_loss() -> None:
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    mixture = Mixture(labels=(FIRST, SECOND), sources=(low, high))
    nothing = np.zeros_like(low)
    first, _ = mixtures.measure(mixture, {"known_hard": [nothing, high]})
    assert first["known_hard"] == mixtures.LEAST_GAIN_DB
    assert si_sdr(nothing, low) == -np.inf
    assert np.isnan(first["known_hard_sdr"])
    assert mixtures.mean_scores([first])["mean"]["known_hard_sdr"] is None
