"""The formula of the waste against a job that is played event by event."""

import math

import pytest

from pipelines.commands.preemption import Workload
from tests.bench.scheduler import played, wasted

HOUR = 3600.0


@pytest.mark.parametrize(
    ("clip_s", "unit_s", "start_s", "life_h", "unit_size"),
    [(6.0, 0.5, 120.0, 4.0, 16), (6.0, 2.0, 0.0, 0.5, 64), (0.3, 0.5, 300.0, 1.0, 256)],
)
def test_formula_agrees_with_the_scheduler(
    clip_s: float, unit_s: float, start_s: float, life_h: float, unit_size: int
) -> None:
    work = Workload(clip_s=clip_s, unit_s=unit_s, start_s=start_s, life_s=life_h * HOUR)
    lives = 1500  # workers that are taken in a job, so that chance is a few per cent of the waste
    clips = int(lives * work.life_s * (1 - work.share_wasted(unit_size)) / clip_s)
    seen = wasted(work, clips=clips, unit_size=unit_size, workers=4)
    assert seen == pytest.approx(work.share_wasted(unit_size), rel=0.1)


def test_every_second_is_paid_for_something() -> None:
    work = Workload(clip_s=5.0, unit_s=1.0, start_s=60.0, life_s=HOUR)
    spent = played(work, clips=10_000, unit_size=50, workers=8)
    assert spent["useful"] == 10_000 * 5.0  # every clip once, whatever was taken
    assert spent["beside"] == 200 * 1.0
    assert spent["lost"] > 0
    assert spent["starts"] > 8 * 60.0


def test_without_pre_emption_only_units_and_starts_cost() -> None:
    work = Workload(clip_s=5.0, unit_s=1.0)
    assert work.share_wasted(16) == pytest.approx(1 / 81)
    assert wasted(work, clips=1600, unit_size=16, workers=1) == pytest.approx(1 / 81)


def test_best_size_is_the_least_wasteful_and_near_the_root() -> None:
    work = Workload(clip_s=6.0, unit_s=0.5, start_s=180.0, life_s=24 * HOUR)
    best = work.best_unit_size()
    assert work.share_wasted(best) < min(work.share_wasted(best - 1), work.share_wasted(best + 1))
    assert best == pytest.approx(math.sqrt(2 * 0.5 * 24 * HOUR) / 6.0, rel=0.1)
    slow = Workload(clip_s=6.0, unit_s=0.5, start_s=3600.0, life_s=24 * HOUR)
    assert slow.best_unit_size() == best  # a start costs the same whatever the unit


def test_units_that_no_worker_lives_to_finish_waste_all() -> None:
    work = Workload(clip_s=100.0, unit_s=0.0, life_s=10.0)
    assert work.share_wasted(1000) == 1.0
    assert work.share_wasted(1) > 0.99


def test_impossible_times_are_refused() -> None:
    for times in ({"clip_s": 0.0}, {"life_s": -1.0}, {"unit_s": math.nan}):
        with pytest.raises(ValueError, match="need clip_s"):
            Workload(**{"clip_s": 1.0, "unit_s": 1.0, **times})
