import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from pipelines.demo import DemoOptions, draw_clip, generate
from schemas import UsageError
from schemas.page import palette

OPTIONS = DemoOptions(clips=4, seed=3)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(OPTIONS, tmp_path_factory.mktemp("demo") / "world")


def test_same_options_give_the_same_bytes(world: Path, tmp_path: Path) -> None:
    again = generate(OPTIONS, tmp_path)
    assert digests(again) == digests(world)
    assert len(digests(again)) == OPTIONS.clips + 6


def test_another_seed_is_another_world(world: Path, tmp_path: Path) -> None:
    other = generate(DemoOptions(clips=4, seed=4), tmp_path)
    media = {digest for name, digest in digests(other).items() if name.endswith(".mp4")}
    assert media.isdisjoint(digests(world).values())
    assert not {path.name for path in other.glob("*.mp4")} & {
        path.name for path in world.glob("*.mp4")
    }


def test_a_finished_world_is_not_touched(world: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.iterdir()}
    calls: list[tuple[int, int]] = []
    generate(OPTIONS, world, lambda done, total: calls.append((done, total)))
    assert calls == []
    assert {path: path.stat().st_mtime_ns for path in world.iterdir()} == before


def test_more_clips_extend_the_world(world: Path, tmp_path: Path) -> None:
    small = generate(DemoOptions(clips=2, seed=3), tmp_path)
    kept = {path.name: path.stat().st_mtime_ns for path in small.glob("*.mp4")}
    calls: list[tuple[int, int]] = []
    generate(OPTIONS, small, lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert digests(small) == digests(world)
    assert all((small / name).stat().st_mtime_ns == time for name, time in kept.items())


def test_an_unfinished_world_is_completed(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    (tmp_path / "demo.json").unlink()
    (tmp_path / "demo_boxes.parquet").unlink()
    (tmp_path / f"{OPTIONS.clip_key(2)}.mp4").unlink()
    killed = tmp_path / ".making-dead"
    killed.mkdir()
    os.utime(killed, (0, 0))
    generate(OPTIONS, tmp_path)
    assert digests(tmp_path) == digests(world)
    assert not killed.exists()


def test_a_lost_clip_comes_back(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    (tmp_path / f"{OPTIONS.clip_key(0)}.mp4").unlink()
    generate(OPTIONS, tmp_path)
    assert digests(tmp_path) == digests(world)


def test_the_folder_of_another_world_is_refused(world: Path) -> None:
    with pytest.raises(UsageError, match="holds another demo world"):
        generate(DemoOptions(clips=4, seed=9), world)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file; choose a folder"):
        generate(OPTIONS, tmp_path / "file")


def test_a_spoilt_record_counts_as_unfinished(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    (tmp_path / "demo.json").write_text("{")
    generate(OPTIONS, tmp_path)
    assert digests(tmp_path) == digests(world)


def test_the_record_tells_how_the_world_was_made(world: Path) -> None:
    record = json.loads((world / "demo.json").read_text())
    found = digests(world)
    del found["demo.json"]
    assert record["sha256"] == found
    assert record["options"] == OPTIONS.to_json()
    assert record["ffmpeg"]
    assert set(record["families"]) == set(OPTIONS.class_names)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"clips": 0}, "1 to 10000 clips, not 0"),
        ({"clips": 10_001}, "1 to 10000 clips, not 10001"),
        ({"seed": -1}, "seed is -1"),
        ({"classes": 1}, "2 to 16 classes, not 1"),
        ({"classes": 17}, "2 to 16 classes, not 17"),
        ({"difficulty": "medium"}, "choose one of easy, default, hard"),
    ],
)
def test_wrong_options_are_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        DemoOptions(**change)  # type: ignore[arg-type]


def test_a_clip_is_drawn_with_its_truth(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Figure] = []
    savefig = Figure.savefig

    def kept(figure: Figure, *where: Any, **options: Any) -> None:
        saved.append(figure)
        savefig(figure, *where, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    png = draw_clip(world, OPTIONS.clip_key(0), tmp_path / "clip.png")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert png.stat().st_size > 50_000  # ten frames weigh far more than empty axes
    figure = saved[0]
    assert figure.get_suptitle().startswith(OPTIONS.clip_key(0))
    assert "data set demo: generated, no weights" in figure.get_suptitle()
    wave, spectrum, timeline = figure.axes[10:13]
    assert {ax.get_xlim() for ax in (wave, spectrum, timeline)} == {(0, 10)}
    assert spectrum.images[0].get_cmap().name == palette.SCALE
    with pytest.raises(UsageError, match="no demo clip 'nothing_0_10'"):
        draw_clip(world, "nothing_0_10", tmp_path / "none.png")
