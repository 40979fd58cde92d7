"""Clean sources: found, read, drawn and mixed; what cannot be mixed is refused."""

from pathlib import Path

import numpy as np
import pytest

from models.applications.media_files import Audio, write_audio, write_waveform
from models.applications.separation import stems
from schemas import UsageError
from schemas.demo import SOURCES_FOLDER
from tests.models.waveforms import RATE, tone
from tests.stores.parsing import CLASSES


def test_mixtures_have_the_level_that_was_asked_for() -> None:
    mixture = stems.mix(("Dog", "Car"), [tone(440, 0, 1), 0.01 * tone(900, 0, 3)], 6.0)
    first, second = ((source**2).sum() for source in mixture.sources)
    assert 10 * np.log10(first / second) == pytest.approx(6.0, abs=1e-3)
    assert np.abs(mixture.waveform).max() == pytest.approx(0.9)


def test_mixtures_of_a_demo_world_are_of_two_classes_and_follow_the_seed(tmp_path: Path) -> None:
    folder = tmp_path / SOURCES_FOLDER
    folder.mkdir()
    for index, label in enumerate(CLASSES[:3]):
        write_waveform(folder / f"demo0000_0_10_{index}_{label}.wav", tone(440 * (index + 1), 0, 2))
    found = stems.find_stems(tmp_path, CLASSES)
    drawn = [list(stems.draw_mixtures(found, 8, (-5.0, 5.0), seed)) for seed in (3, 3, 4)]
    assert [len(one) for one in drawn] == [16, 16, 16]
    assert [one.level_db for one in drawn[0][:4]] == [-5.0, 5.0, -5.0, 5.0]
    labels = [[mixture.labels for mixture in one] for one in drawn]
    assert all(first != second for first, second in labels[0])
    assert labels[0][0] == labels[0][1]
    assert labels[0] == labels[1]
    assert labels[0] != labels[2]
    assert {path.parent for mixture in drawn[0] for path in mixture.paths} == {folder}


def test_folder_of_recordings_has_a_subfolder_for_each_class(tmp_path: Path) -> None:
    for label, rate in ((CLASSES[0], 8_000), (CLASSES[1], 44_100)):
        (tmp_path / label).mkdir()
        samples = np.tile(np.array([0.1, -0.1], np.float32), (6, rate))
        write_audio(tmp_path / label / "take.wav", Audio(samples=samples, rate=rate))
    (tmp_path / "Nobody").mkdir()
    found = stems.find_stems(tmp_path, CLASSES)
    assert found == {label: [tmp_path / label / "take.wav"] for label in CLASSES[:2]}
    assert len(stems.read_stem(found[CLASSES[0]][0])) == pytest.approx(2 * RATE, abs=16)


def test_what_cannot_be_mixed_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"has clean sources of 0 of the run's 4 classes, and a mi"
    ):
        stems.find_stems(tmp_path, CLASSES)
    (tmp_path / CLASSES[0]).mkdir()
    write_waveform(tmp_path / CLASSES[0] / "one.wav", tone(440, 0, 1))
    with pytest.raises(UsageError, match="has clean sources of 1 of the run's 4 classes"):
        stems.find_stems(tmp_path, CLASSES)
    silent, short, late = (tmp_path / f"{name}.wav" for name in ("silent", "short", "late"))
    write_waveform(silent, np.zeros(2 * RATE, np.float32))
    write_waveform(short, tone(440, 0, 1)[: RATE // 2])
    write_waveform(late, tone(440, 2, 3))
    with pytest.raises(
        UsageError, match=r"silent\.wav is silent from start to end: it has no level"
    ):
        stems.read_stem(silent)
    with pytest.raises(UsageError, match=r"short\.wav is 0\.50 s long; a source needs 1 s"):
        stems.read_stem(short)
    one = tmp_path / CLASSES[0] / "one.wav"
    with pytest.raises(UsageError, match="unknown label 'Dgo'; did you mean 'Dog'"):
        stems.mix_files((one, one), ("Dgo", CLASSES[1]), CLASSES, (0.0,))
    with pytest.raises(UsageError, match=f"both sources are of {CLASSES[0]}; a mixture needs two"):
        stems.mix_files((one, one), (CLASSES[0], CLASSES[0]), CLASSES, (0.0,))
    with pytest.raises(UsageError, match=f"the source of {CLASSES[1]} is silent in the first 2 s"):
        stems.mix(CLASSES[:2], [tone(440, 0, 1)[: 2 * RATE], tone(440, 2, 3)], 0.0)
    pair = stems.mix_files((one, late), (CLASSES[0], CLASSES[1]), CLASSES, (-5.0, 0.0))
    assert [mixture.level_db for mixture in pair] == [-5.0, 0.0]
