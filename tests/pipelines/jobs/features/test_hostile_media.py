"""A features job on a folder of things that are not what they seem: every one has its fate."""

import json
import os
from pathlib import Path

from tests.pipelines.conftest import Beam, make_clip
from tests.stores.compare import counts, read_table

LIGHT = ("--extractors", "logmel", "--weights", "seeded")


def test_every_file_is_a_row_or_a_failure_or_named_as_no_media(tmp_path: Path, beam: Beam) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    (media / "notes").mkdir(parents=True)
    for name in ("good.mp4", "windows.wmv"):
        make_clip(media / name, 1.0)
    make_clip(media / "good2.mp4", 1.0).rename(media / os.fsdecode(b"caf\xe9.mp4"))
    (media / "subtitles.mp4").write_text("WEBVTT\n\n00:00.000 --> 00:05.000\nhello\n")
    (media / "script.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    (media / "dangling.mp4").symlink_to(media / "nothing")
    os.mkfifo(media / "pipe.mp4")
    (media / "film.xyz").touch()
    (media / "notes" / "read\x1b[2Jme.txt").touch()
    done = beam(
        "run", "features", "--dataset", "folder", "--media", media, "--out", out, *LIGHT,
        "--max-failed", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = read_table(out, "clips").to_pylist()
    assert {row["clip_key"] for row in rows} == {"good", "windows", "caf\\xe9"}
    reasons = {row["clip_key"]: row["reason"] for row in read_table(out, "failures").to_pylist()}
    assert reasons == {
        "subtitles": "format", "script": "unsafe_input", "dangling": "not_found",
        "pipe": "unsafe_input",
    }  # fmt: skip
    assert counts(out)["clips_in"] == 7
    screen = " ".join(done.stdout.split())
    assert "2 files are not taken for media, by the ending: film.xyz, notes/read\\x1b[2Jme.txt" in (
        screen
    )
    coverage = json.loads((out / "coverage.json").read_text())
    assert coverage["other_files"] == {
        "count": 2, "names": ["film.xyz", "notes/read\\x1b[2Jme.txt"]
    }  # fmt: skip
    assert "Not taken for media: 2 files" in (out / "coverage.md").read_text()
    assert beam("validate", out).returncode == 0


def test_media_in_folders_are_found_for_the_clips_of_a_list(tmp_path: Path, beam: Beam) -> None:
    media, labels = tmp_path / "media", tmp_path / "labels"
    (media / "train" / "dog").mkdir(parents=True)
    labels.mkdir()
    make_clip(media / "train" / "dog" / "bark.mp4", 1.0)
    (labels / "labels.csv").write_text("file,labels\nbark.mp4,Dog\n")
    done = beam(
        "run", "features", "--dataset", "folder", "--media", media, "--out", tmp_path / "out",
        "--annotations", labels, *LIGHT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_table(tmp_path / "out", "clips")["clip_key"].to_pylist() == ["bark"]
