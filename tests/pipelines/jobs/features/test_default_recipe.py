"""A store with the default recipe's six extractors."""

from pathlib import Path

from schemas.features import DEFAULT_EXTRACTORS
from tests.pipelines.conftest import Beam, make_clip
from tests.stores.compare import counts, read_table


def test_one_clip_through_every_default_extractor(tmp_path: Path, beam: Beam) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    media.mkdir()
    make_clip(media / "clip.mp4", 2.0)
    words = ("run", "features", "--dataset", "folder", "--weights", "seeded")
    done = beam(*words, "--media", media, "--out", out)
    assert done.returncode == 0, done.stderr
    assert len(DEFAULT_EXTRACTORS) == 6
    assert "warm-up" in done.stdout  # the first clip of a process tells no pace
    assert "models/train.py" not in done.stdout  # no clip has a label
    rows = counts(out)["rows"]
    assert (rows["clips"], rows["snippets"], rows["proposals"]) == (1, 2, 20)
    assert rows["segments"] == 3  # 0.96 s windows every 0.48 s of two seconds
    snippets = read_table(out, "snippets")
    for column in ("vggish", "resnet152", "r2plus1d", "logmel"):
        assert snippets[column].null_count == 0
    checked = beam("validate", out)
    assert checked.returncode == 0, checked.stdout
