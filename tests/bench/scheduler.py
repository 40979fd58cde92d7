"""A job on workers that are taken away, played event by event: what is paid, and for what."""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial

import numpy as np

from pipelines.commands.preemption import Workload


class Scheduler:
    """Gives units to free workers in order; a unit that is lost is the next to be given out.

    A worker that is taken is replaced at once by one that starts. Workers that find nothing to do
    are paid until the last unit is committed.
    """

    def __init__(self, work: Workload, sizes: list[int], seed: int) -> None:
        self.work, self.waiting, self.open = work, deque(sizes), len(sizes)
        self.random = np.random.default_rng(seed)
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.asleep: list[tuple[float, float]] = []
        self.spent: dict[str, float] = defaultdict(float)
        """Seconds of all workers: `useful` for clips that were committed, `beside` for their units,
        `starts`, `lost` for units that were not finished, `idle` at the end."""
        self.count = 0

    def run(self, workers: int) -> float:
        """Play the job; seconds until its last unit is committed."""
        for _ in range(workers):
            self.start(0.0)
        now = 0.0
        while self.open:
            now, _, action = heapq.heappop(self.events)
            action(now)
        self.spent["idle"] += sum(max(0.0, now - since) for since, _ in self.asleep)
        return now

    def at(self, moment: float, action: Callable[[float], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (moment, self.count, action))

    def start(self, now: float) -> None:
        taken = now + self.random.exponential(self.work.life_s)
        ready = now + self.work.start_s
        self.spent["starts"] += min(ready, taken) - now
        self.at(*((taken, self.start) if taken <= ready else (ready, partial(self.free, taken))))

    def free(self, taken: float, now: float) -> None:
        if not self.waiting:
            self.asleep.append((now, taken))
            return
        size = self.waiting.popleft()
        end = now + size * self.work.clip_s + self.work.unit_s
        if end <= taken:
            self.at(end, partial(self.commit, size, taken))
        else:
            self.at(taken, partial(self.lose, size, taken - now))

    def commit(self, size: int, taken: float, now: float) -> None:
        self.spent["useful"] += size * self.work.clip_s
        self.spent["beside"] += self.work.unit_s
        self.open -= 1
        self.free(taken, now)

    def lose(self, size: int, spent: float, now: float) -> None:
        self.spent["lost"] += spent
        self.waiting.appendleft(size)
        self.start(now)
        if self.asleep:
            since, taken = self.asleep.pop()
            self.spent["idle"] += min(now, taken) - since
            if taken > now:
                self.free(taken, now)
            else:
                self.start(now)


def wasted(work: Workload, *, clips: int, unit_size: int, workers: int, seed: int = 0) -> float:
    """Share of the paid time that did no clip for good, in one job."""
    spent = played(work, clips=clips, unit_size=unit_size, workers=workers, seed=seed)
    return 1 - spent["useful"] / sum(spent.values())


def played(
    work: Workload, *, clips: int, unit_size: int, workers: int, seed: int = 0
) -> dict[str, float]:
    """Seconds of all workers by what they were spent on."""
    sizes = [unit_size] * (clips // unit_size) + [clips % unit_size] * bool(clips % unit_size)
    job = Scheduler(work, sizes, seed)
    job.run(workers)
    return job.spent
