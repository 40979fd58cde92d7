"""Features jobs that are killed at any change of the disk, their last step among them."""

import shutil
from pathlib import Path

import pytest

from pipelines.cli import main
from tests.killed import count_equal
from tests.pipelines.conftest import Beam, make_clip
from tests.pipelines.kills import is_killed_at
from tests.stores.compare import counts, same_rows


def words(media: Path, out: Path) -> list[str]:
    job = ["run", "features", "--dataset", "folder", "--media", str(media), "--out", str(out)]
    return [*job, "--extractors", "logmel", "--weights", "seeded", "--unit-size", "1"]


@pytest.mark.kills
@pytest.mark.parametrize("stride", [5])
def test_kill_at_any_moment_of_a_job(tmp_path: Path, beam: Beam, stride: int) -> None:
    media, calm = tmp_path / "media", tmp_path / "calm"
    media.mkdir()
    for index in range(2):
        make_clip(media / f"clip{index}.mp4", 1.0)
    (media / "broken.mp4").write_bytes(b"this is not a film")
    assert beam(*words(media, calm)).returncode == 0
    step, killed, stood = 0, True, set()
    while killed:
        out = tmp_path / str(step)
        killed = is_killed_at(step, main, words(media, out))
        receipts = {path: path.read_bytes() for path in out.glob("receipts/*.json")}
        stood.add(len(receipts))
        done = beam(*words(media, out))
        assert done.returncode == 0, (step, done.stderr)
        for path, receipt in receipts.items():
            assert path.read_bytes() == receipt, "what was committed is not done again"
        same_rows(calm, out, ("clips", "snippets", "failures"))
        assert counts(out) == counts(calm)
        assert not list(out.rglob(".tmp-*"))
        count_equal(killed)
        shutil.rmtree(out)
        step += stride
    assert stood == {0, 1, 2, 3}, "killed before, between and after the receipts"
