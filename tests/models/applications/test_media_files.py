"""Waveforms on disk, and names of files."""

import os
import wave
from pathlib import Path

import numpy as np

from models.applications.media_files import (
    file_stem,
    file_stems,
    read_waveform,
    shortened,
    write_waveform,
)
from tests.models.waveforms import RATE, SECONDS, tone


def test_waveform_survives_the_file(tmp_path: Path) -> None:
    waveform = tone(440, 0, 2)
    write_waveform(tmp_path / "a.wav", waveform)
    np.testing.assert_allclose(read_waveform(tmp_path / "a.wav", SECONDS), waveform, atol=1e-4)
    assert len(read_waveform(tmp_path / "a.wav", 5)) == 5 * RATE
    with wave.open(str(tmp_path / "a.wav"), "rb") as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 1)


def test_every_name_gets_a_file_of_its_own(tmp_path: Path) -> None:
    names = ["Dog", "dog", "D/o/g", "..", "", "é" * 300, "\x00", "a" * 300, "a" * 301]
    stems = file_stems(names)
    assert list(stems) == names
    assert len({stem.lower() for stem in stems.values()}) == len(names)
    for stem in stems.values():
        (tmp_path / f"{stem}-rest.wav").touch()
    assert file_stem("Fire engine, fire truck (siren)") == "Fire_engine_fire_truck_siren"


def test_long_stems_are_cut_by_bytes_and_others_stay() -> None:
    assert shortened("clip 1") == "clip 1"
    long = shortened("音" * 100)
    assert 0 < len(os.fsencode(long)) <= 180
    assert ("音" * 100).startswith(long)
