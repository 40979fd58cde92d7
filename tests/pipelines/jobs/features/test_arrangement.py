"""Clips at once: as many as cores, as far as memory goes; a container's limits count."""

from pathlib import Path

import pytest

from pipelines.jobs.features import arrangement
from pipelines.jobs.features.arrangement import arrange_clips, usable_cores, usable_memory

GB = 2**30


@pytest.mark.parametrize(
    ("device", "processes", "cores", "memory", "clips"),
    [
        ("cpu", 1, 2, 20 * GB, 2),
        ("cpu", 1, 64, 128 * GB, 64),
        ("cpu", 1, 16, 8 * GB, 5),
        ("cpu", 1, 16, 1 * GB, 1),
        ("cpu", 4, 16, 40 * GB, 4),
        ("cpu", 8, 2, 40 * GB, 1),
        ("cuda", 1, 16, 64 * GB, 1),
    ],
)
def test_clips_at_once_follow_cores_and_memory(
    device: str, processes: int, cores: int, memory: int, clips: int
) -> None:
    found, sentence = arrange_clips(device, processes, cores, memory)
    assert found == clips
    assert f"{cores} cores" in sentence
    assert (f"{clips} clips at once" in sentence) == (clips > 1)


def test_a_container_s_limits_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrangement, "_CGROUP", tmp_path)
    cores, memory = usable_cores(), usable_memory()
    assert cores >= 1
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text(f"{memory // 2}\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert usable_cores() == 1
    assert usable_memory() == memory // 2 - 1_000_000
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_cores() == cores
    assert usable_memory() > memory // 2
