"""Secrets of a features job's command line stand in no table, record, log or error."""

import logging
from pathlib import Path

import pytest

from tests.pipelines.conftest import Beam

PLANTED = ("it's-planted-1", "planted%2D2", "planted3")
JOB = ("run", "features", "--dataset", "folder", "--weights", "seeded", "--extractors", "logmel")


def assert_hidden(folder: Path, *texts: str) -> None:
    for secret in PLANTED:
        assert all(secret not in text for text in texts)
        for path in folder.rglob("*"):
            assert secret not in path.name
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_options_of_beam(
    media: Path,
    tmp_path: Path,
    beam: Beam,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = ("--s3_secret_access_key", PLANTED[0], f"--azure_connection_string={PLANTED[1]}")
    words = [*JOB, "--media", str(media), "--out", str(tmp_path / "out"), *secret]
    monkeypatch.setattr("sys.argv", ["beam", *words])
    with caplog.at_level(logging.DEBUG, logger="pipelines"):
        done = beam(*words)
    assert done.returncode == 0, done.stderr
    assert_hidden(tmp_path, done.stdout, done.stderr, caplog.text)
    manifest = (tmp_path / "out/manifest.json").read_text()
    assert "--s3_secret_access_key" in manifest  # the command is there, without the secret


def test_address_in_an_error(tmp_path: Path, beam: Beam) -> None:
    address = f"x9://user:{PLANTED[2]}@host/clips?sig={PLANTED[1]}"
    done = beam(*JOB, "--media", address, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert_hidden(tmp_path, done.stdout, done.stderr)
