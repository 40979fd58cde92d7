"""The pace holds for an identity whoever asks; the breaker opens, waits, tries one and closes."""

import itertools
import json
import multiprocessing
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pipelines.jobs.download.identity import Identity
from pipelines.jobs.download.rate_limit import (
    Deferred,
    IdentityState,
    Permit,
    RateLimiter,
    RatePolicy,
)
from schemas import Reason
from tests.pipelines.jobs.download.conftest import Download, read_media, write_clips, youtube_id
from tests.pipelines.jobs.download.server import Fault, Site


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def make_limiter(
    folder: Path, clock: Clock, *identities: Identity, **rate_policy: float
) -> RateLimiter:
    """A limiter on a clock of its own."""
    wanted = RatePolicy(folder=str(folder), site="youtube", **rate_policy)  # type: ignore[arg-type]
    return RateLimiter(identities, wanted, clock=clock, sleep=clock.sleep)


def acquire(limiter: RateLimiter) -> Permit:
    """Leave to ask; a hand-back is wrong here."""
    permit = limiter.acquire()
    assert isinstance(permit, Permit), permit
    return permit


def test_no_hour_sees_more_than_the_pace(tmp_path: Path) -> None:
    clock = Clock()
    limiter = make_limiter(tmp_path, clock, Identity(per_hour=280.0))
    moments = []
    for _ in range(600):
        limiter.release(acquire(limiter), None, None)
        moments.append(clock.now)
    for first in moments[::50]:
        assert sum(first <= moment < first + 3600 for moment in moments) <= 280
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(gaps) >= 3600 / 280 - 1e-6
    assert max(gaps) > 1.15 * min(gaps)  # jittered
    assert 230 < 600 / (moments[-1] - moments[0]) * 3600 < 280


def test_bot_checks_open_the_breaker_and_a_clip_closes_it(tmp_path: Path) -> None:
    clock = Clock()
    limiter = make_limiter(tmp_path, clock, Identity(per_hour=0), breaker_s=100.0, probe_s=50.0)
    for _ in range(3):
        limiter.release(acquire(limiter), Reason.BOT_CHECK, None)
    started = clock.now
    permit = acquire(limiter)  # waits until the breaker lets one try through
    assert permit.probe
    assert 100.0 <= clock.now - started < 106.0
    limiter.release(permit, Reason.BOT_CHECK, None)
    started = clock.now
    permit = acquire(limiter)
    assert 200.0 <= clock.now - started < 206.0  # twice as long
    limiter.release(permit, None, None)
    started = clock.now
    assert not acquire(limiter).probe
    assert clock.now == started


def test_while_one_tries_the_others_wait(tmp_path: Path) -> None:
    clock = Clock()
    limiter = make_limiter(
        tmp_path, clock, Identity(per_hour=0), breaker_s=100.0, probe_s=50.0, patience_s=120
    )
    for _ in range(3):
        limiter.release(acquire(limiter), Reason.RATE_LIMITED, None)
    assert acquire(limiter).probe
    started = clock.now
    assert acquire(limiter).probe  # the first never came back: its time is over, another may try
    assert clock.now - started >= 50.0


def test_clips_are_handed_back_when_patience_ends(tmp_path: Path) -> None:
    clock = Clock()
    limiter = make_limiter(tmp_path, clock, Identity(per_hour=0), breaker_s=1000.0, patience_s=60.0)
    for _ in range(3):
        limiter.release(acquire(limiter), Reason.BOT_CHECK, None)
    back = limiter.acquire()
    assert isinstance(back, Deferred)
    assert back.reason is Reason.BOT_CHECK
    assert "the next run tries this clip" in back.detail
    assert clock.now == 1_000_000.0  # told at once


def test_another_identity_takes_over(tmp_path: Path) -> None:
    clock = Clock()
    home, lab = Identity(name="home", per_hour=0), Identity(name="lab", user_agent="x", per_hour=0)
    only_home = make_limiter(tmp_path, clock, home)
    for _ in range(3):
        only_home.release(acquire(only_home), Reason.BOT_CHECK, None)
    both = make_limiter(tmp_path, clock, home, lab)
    assert {acquire(both).identity.name for _ in range(20)} == {"lab"}
    assert clock.now == 1_000_000.0


def test_retry_after_is_obeyed(tmp_path: Path) -> None:
    clock = Clock()
    limiter = make_limiter(tmp_path, clock, Identity(per_hour=0))
    limiter.release(acquire(limiter), Reason.RATE_LIMITED, 777.0)
    started = clock.now
    acquire(limiter)
    assert clock.now - started >= 777.0


def test_breaker_is_never_open_for_longer_than_four_hours(tmp_path: Path) -> None:
    clock = Clock()
    limiter = make_limiter(
        tmp_path, clock, Identity(per_hour=0), breaker_s=1800.0, patience_s=10 * 3600.0
    )
    for _ in range(3):
        limiter.release(acquire(limiter), Reason.BOT_CHECK, None)
    waits = []
    for _ in range(7):
        started = clock.now
        limiter.release(acquire(limiter), Reason.BOT_CHECK, None)
        waits.append(round((clock.now - started) / 60))
    assert waits == [30, 60, 120, 240, 240, 240, 240]


def test_identity_that_is_blocked_while_a_worker_waits_for_its_slot_is_not_used(
    tmp_path: Path,
) -> None:
    clock = Clock()
    identity = Identity(per_hour=36.0)  # a slot every 100 s
    other = make_limiter(tmp_path, clock, identity, breaker_after=1, breaker_s=1000.0)
    pending = acquire(other)

    class Waits(Clock):
        """The other worker's request is refused while this one sleeps."""

        def sleep(self, seconds: float) -> None:
            if seconds > 50 and not blocked:
                blocked.append(clock.now)
                other.release(pending, Reason.BOT_CHECK, None)
            clock.sleep(seconds)

    blocked: list[float] = []
    limiter = RateLimiter(
        (identity,), RatePolicy(folder=str(tmp_path), site="youtube"),
        clock=clock, sleep=Waits().sleep,
    )  # fmt: skip
    started = clock.now
    permit = acquire(limiter)
    assert blocked
    assert permit.probe
    assert clock.now - started >= 1000.0


WRONG: tuple[Any, ...] = ("x", None, [], 1e300, -1, float("nan"))
BAD_STATES = ("", "null", "[]", '"x"', "{}", "[" * 100_000, '{"next_at": 1}')
CHANGED_STATES = tuple(
    json.dumps({**asdict(IdentityState()), name: value})
    for name in ("next_at", "blocked_until", "strikes", "reason", "asked")
    for value in WRONG
)


@pytest.mark.parametrize("text", [*BAD_STATES, *CHANGED_STATES])
def test_damaged_state_file_counts_as_none(tmp_path: Path, text: str) -> None:
    clock = Clock()
    limiter = make_limiter(tmp_path, clock, Identity(per_hour=0))
    limiter.release(acquire(limiter), None, None)
    (path,) = tmp_path.glob("*.json")
    path.write_text(text)
    assert limiter.state(Identity(per_hour=0)) == IdentityState()
    limiter.release(acquire(limiter), None, None)
    assert limiter.state(Identity(per_hour=0)).asked == 1


def ask(folder: str, per_hour: float, n: int, moments: "multiprocessing.Queue[float]") -> None:
    """A worker process: enter `n` times."""
    limiter = RateLimiter((Identity(per_hour=per_hour),), RatePolicy(folder=folder, site="youtube"))
    for _ in range(n):
        permit = limiter.acquire()
        moments.put(time.time())
        assert isinstance(permit, Permit)
        limiter.release(permit, None, None)


def test_processes_share_one_pace(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    moments: multiprocessing.Queue[float] = context.Queue()
    workers = [
        context.Process(target=ask, args=(str(tmp_path), 36_000.0, 8, moments)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    found = sorted(moments.get(timeout=30) for _ in range(32))
    for worker in workers:
        worker.join()
    assert found[-1] - found[0] >= 31 * 0.1 - 0.02  # 36,000 an hour: a tenth of a second each


def test_workers_and_identities_keep_the_pace_together(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    names = [youtube_id(i) for i in range(10)]
    site.files["/film.mp4"] = films["clip"]
    for name in names:
        site.play(name, "/film.mp4", 3.0)
    (tmp_path / "identities.json").write_text(
        '[{"name": "home", "user_agent": "home/1"}, {"name": "lab", "user_agent": "lab/1"}]'
    )
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    done = download(
        clips, "--hosts", "127.0.0.1", "--identities", tmp_path / "identities.json",
        "--videos-per-hour", 3600, "--parallel", 2,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = read_media(tmp_path / "media").values()
    assert {row["identity"] for row in rows} == {"home", "lab"}
    for name in ("home", "lab"):
        moments = sorted(
            one.at for one in site.asked if one.agent == f"{name}/1" and "/watch/" in one.path
        )
        assert len(moments) >= 3
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        late = 0.5  # how long a request may be on its way on a busy machine
        assert moments[-1] - moments[0] >= len(gaps) - late, moments  # one a second at most
        assert min(gaps) > 1.0 - late, gaps  # and never two at once


def test_breaker_hands_clips_back_unharmed_and_closes(
    site: Site, films: dict[str, Path], tmp_path: Path, download: Download
) -> None:
    names = [youtube_id(i) for i in range(8)]
    site.files["/film.mp4"] = films["clip"]
    for name in names:
        site.play(name, "/film.mp4", 3.0)
        site.faults[f"/watch/{name}"] = Fault("429")
    clips = write_clips(tmp_path / "clips", [(name, 0.0, 3.0) for name in names])
    more = ("--hosts", "127.0.0.1", "--videos-per-hour", 0, "--parallel", 1)
    done = download(clips, *more, "--patience-minutes", 0, "--breaker-minutes", 0.02)
    assert done.returncode == 1
    failures = read_media(tmp_path / "media", "failures")
    assert {row["reason"] for row in failures.values()} == {"rate_limited"}
    assert all(row["retryable"] for row in failures.values())
    assert sum("not tried" in row["detail"] for row in failures.values()) >= 5
    assert sum(site.clips_asked().values()) == 3  # then the breaker was open
    site.faults.clear()
    time.sleep(1.3)
    again = download(clips, *more, "--breaker-minutes", 0.02)
    assert again.returncode == 0
    assert len(read_media(tmp_path / "media")) == 8
    assert read_media(tmp_path / "media", "failures") == {}


def test_threads_do_not_tread_on_each_other(tmp_path: Path) -> None:
    limiter = RateLimiter((Identity(per_hour=0),), RatePolicy(folder=str(tmp_path), site="youtube"))

    def work() -> None:
        for _ in range(50):
            permit = limiter.acquire()
            assert isinstance(permit, Permit)
            limiter.release(permit, None, None)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limiter.state(Identity(per_hour=0)).asked == 200
