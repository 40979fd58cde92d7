"""When the next video may be requested: a rate for each identity, and a circuit breaker.

All processes of a machine that use an identity share one small file in the state folder, locked
while it is read and written. So the rate holds for the identity however many workers and jobs there
are. The file does not reach other machines: they divide the rate (`--machines`) or use identities
of their own.

Rate: a worker reserves the next free slot; the slot after it is at least 3600 / per_hour seconds
later, plus up to a fifth at random. So no hour ever holds more requests than the rate allows.

Breaker: a Retry-After blocks the identity for as long as the site wants. Several bot checks or
refusals in a row open the breaker: nobody uses the identity for half an hour, then one probe is
sent. If it succeeds, the breaker closes; if not, it stays open for twice as long, up to four hours.

An identity with cookies is lent to one worker at a time, because the site renews them.
"""

import fcntl
import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipelines.jobs.download.identity import Identity
from pipelines.jobs.download.identity_lock import IdentityLock
from schemas import Reason
from schemas.machine.clock import utc_stamp

_log = logging.getLogger(__name__)
_JITTER = 0.2
MEAN_SLOWDOWN = 1 + _JITTER / 2
"""How much longer than at the exact rate a job takes, because its pauses vary."""
LONGEST_OPEN_S = 4 * 3600.0
"""The breaker never stays open for longer without a probe, in seconds."""
_POLL_S = 5.0
_LENT_POLL_S = 0.2
"""How often to look whether an identity that somebody else uses is free, in seconds."""
_LATEST = 2**40
"""No moment or count of a state file is larger: the year 36812, in seconds since 1970."""
BLOCKING_REASONS = (Reason.BOT_CHECK, Reason.RATE_LIMITED)
"""Reasons that speak of the identity rather than of the clip."""


@dataclass(frozen=True, kw_only=True)
class RatePolicy:
    """How often to ask a site, and when to stop asking."""

    folder: str
    """State folder of this machine."""
    site: str
    """The site that the rate is for: `youtube` or a mirror's host."""
    patience_s: float = 6 * 3600.0
    """How long a clip waits while every identity is blocked, in seconds."""
    breaker_after: int = 3
    """Bot checks and refusals in a row that open the breaker."""
    breaker_s: float = 1800.0
    """How long it stays open at first, in seconds."""
    probe_s: float = 600.0
    """How long the probe after that may take, in seconds."""


@dataclass
class IdentityState:
    """Content of an identity's state file; times are seconds since 1970."""

    next_at: float = 0.0
    blocked_until: float = 0.0
    probe_until: float = 0.0
    strikes: int = 0
    """Bot checks and refusals in a row."""
    openings: int = 0
    """How often the breaker has opened in a row; 0 means closed."""
    reason: str = Reason.RATE_LIMITED
    asked: int = 0
    """Videos requested, over all time."""
    opened: int = 0
    """How often the breaker has opened, over all time."""

    def free_at(self) -> float:
        """Return when the site lets the identity be used again."""
        return max(self.blocked_until, self.probe_until)


@dataclass(frozen=True)
class Permit:
    """Permission to request one video now."""

    identity: Identity
    probe: bool
    """Whether this is the one try of an open breaker."""
    lock: IdentityLock | None = None
    """Held on an identity with cookies until `give_back`."""

    def give_back(self) -> None:
        """Let others use the identity."""
        if self.lock is not None:
            self.lock.give_back()


@dataclass(frozen=True)
class Deferred:
    """No identity is free in time; the clip is left to the next run."""

    reason: Reason
    detail: str


class RateLimiter:
    """The request budget of some identities for one site, shared by every process that uses them.

    `clock` returns seconds since 1970; tests pass a clock and a sleep of their own.
    """

    def __init__(
        self,
        identities: Sequence[Identity],
        policy: RatePolicy,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._identities, self._policy = tuple(identities), policy
        self._clock, self._sleep = clock, sleep
        self._folder = Path(policy.folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def acquire(self) -> Permit | Deferred:
        """Wait for a permit to request one video; `Permit.give_back` ends it."""
        gives_up = self._clock() + self._policy.patience_s
        while True:
            now = self._clock()
            found = sorted(
                ((identity, self.state(identity)) for identity in self._shuffled()),
                key=lambda pair: max(pair[1].free_at(), pair[1].next_at),
            )
            first = found[0][1]
            if first.free_at() > max(gives_up, now):
                return _defer(first)
            if first.free_at() > now:
                self._sleep(min(first.free_at() - now, _POLL_S))
                continue
            free = (identity for identity, state in found if state.free_at() <= now)
            permit = next(filter(None, map(self._lend, free)), None)
            if permit is not None:
                return permit
            self._sleep(_LENT_POLL_S)

    def _lend(self, identity: Identity) -> Permit | None:
        """Return a permit once the identity's slot has come; None where others were faster."""
        lock = None
        if identity.cookies is not None:
            lock = IdentityLock(self._path(identity).with_suffix(".use"))
            if not lock.take():
                return None
        slot = self._reserve(identity)
        if slot is not None:
            moment, probe = slot
            self._sleep(max(0.0, moment - self._clock()))
            # another worker may have opened the breaker while this one slept
            if probe or self.state(identity).free_at() <= self._clock():
                return Permit(identity, probe, lock)
        if lock is not None:
            lock.give_back()
        return None

    def release(self, permit: Permit, reason: Reason | None, retry_after_s: float | None) -> None:
        """Record how the request went: `reason` is None when the clip arrived."""
        with self._locked(permit.identity) as state:
            now = self._clock()
            if retry_after_s is not None:
                state.blocked_until = max(state.blocked_until, now + retry_after_s)
            if permit.probe:
                state.probe_until = 0.0
            if reason in BLOCKING_REASONS:
                self._strike(permit, state, now, Reason(reason))
            elif reason is None and (permit.probe or not state.openings):
                if state.openings:
                    _log.warning("identity %s: served again", permit.identity.name)
                state.strikes = state.openings = 0

    def _strike(self, permit: Permit, state: IdentityState, now: float, reason: Reason) -> None:
        state.strikes += 1
        state.reason = reason
        opens = not state.openings and state.strikes >= self._policy.breaker_after
        if not (permit.probe or opens):
            return
        state.openings += 1
        state.opened += 1
        pause = min(self._policy.breaker_s * 2.0 ** min(state.openings - 1, 64), LONGEST_OPEN_S)
        state.blocked_until = max(state.blocked_until, now + pause)
        _log.warning(
            "identity %s: %s, %d in a row; not used until %s",
            permit.identity.name, reason, state.strikes, utc_stamp(state.blocked_until),
        )  # fmt: skip

    def state(self, identity: Identity) -> IdentityState:
        """Read the state file of an identity; a fresh state when there is none that makes sense."""
        try:
            raw = json.loads(self._path(identity).read_text())
            values = {field.name: raw[field.name] for field in fields(IdentityState)}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return IdentityState()  # not used yet, or of another version
        sound = values.pop("reason") in BLOCKING_REASONS and all(
            isinstance(value, int | float) and 0 <= value < _LATEST for value in values.values()
        )
        return IdentityState(**values, reason=raw["reason"]) if sound else IdentityState()

    def _reserve(self, identity: Identity) -> tuple[float, bool] | None:
        """Reserve the next slot; None when somebody was faster or the breaker has opened."""
        with self._locked(identity) as state:
            now = self._clock()
            if state.free_at() > now:
                return None
            probe = state.openings > 0
            moment = max(now, state.next_at)
            if probe:
                state.probe_until = moment + self._policy.probe_s
            if identity.per_hour:
                gap = 3600.0 / identity.per_hour
                state.next_at = moment + gap * random.uniform(1.0, 1.0 + _JITTER)
            state.asked += 1
            return moment, probe

    def cookies_file(self, identity: Identity) -> Path:
        """Return the file for the renewed cookies of an identity, for this site and nobody else."""
        return self._path(identity).with_suffix(".cookies.txt")

    def _shuffled(self) -> list[Identity]:
        return random.sample(self._identities, len(self._identities))

    def _path(self, identity: Identity) -> Path:
        site = "".join(
            char if char.isalnum() or char in ".-" else "_" for char in self._policy.site
        )
        return self._folder / f"{site}-{identity.key}.json"

    @contextmanager
    def _locked(self, identity: Identity) -> Iterator[IdentityState]:
        """Hold the state file of an identity alone while it is read and written."""
        path = self._path(identity)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self.state(identity)
            yield state
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(asdict(state)))
            temporary.replace(path)


def _defer(state: IdentityState) -> Deferred:
    return Deferred(
        Reason(state.reason),
        f"not tried: every identity is held back ({state.reason}), the first until "
        f"{utc_stamp(state.free_at())}; the next run tries this clip",
    )
