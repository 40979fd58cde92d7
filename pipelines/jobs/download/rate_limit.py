"""When the next video may be asked for: a pace for each identity, and a breaker.

Every process of a machine that uses an identity shares one small file under the state folder, held
with a lock while it is read and written. So the pace holds for the identity however many workers
and jobs there are; it does not reach other machines, which divide it (`--machines`) or use
identities of their own.

The pace: a worker reserves the next free moment, and the one after it is at least 3600 / pace
seconds later, with up to a fifth more by chance. So no hour ever sees more than the pace allows.

The breaker: a Retry-After holds the identity back for as long as the site wants. Three bot checks
or refusals in a row open the breaker: nobody uses the identity for half an hour, then one video is
tried. If it comes, the breaker closes; if not, it stays open for twice as long, up to four hours.
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
from schemas import Reason
from schemas.clock import utc_stamp

_log = logging.getLogger(__name__)
_JITTER = 0.2
MEAN_SLOWDOWN = 1 + _JITTER / 2
"""How much longer than at the exact pace a job takes, because its pauses vary."""
_LONGEST_OPEN_S = 4 * 3600.0
_LOOK_AGAIN_S = 5.0
HELD_BACK = (Reason.BOT_CHECK, Reason.RATE_LIMITED)
"""Reasons that speak of the identity rather than of the clip."""


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How to behave towards a site."""

    folder: str
    """State folder of this machine."""
    site: str
    """Whom the pace is for: `youtube` or a mirror's host."""
    patience_s: float = 6 * 3600.0
    """How long a clip waits while every identity is held back."""
    breaker_after: int = 3
    """Bot checks and refusals in a row that open the breaker."""
    breaker_s: float = 1800.0
    """How long it stays open at first."""
    probe_s: float = 600.0
    """How long the one try after that may take."""


@dataclass
class Standing:
    """What the file of an identity says; times are seconds since 1970."""

    next_at: float = 0.0
    blocked_until: float = 0.0
    probe_until: float = 0.0
    strikes: int = 0
    openings: int = 0
    """How often the breaker has opened in a row; 0 means closed."""
    reason: str = Reason.RATE_LIMITED
    asked: int = 0
    """Videos asked for, over all time."""
    opened: int = 0
    """How often the breaker has opened, over all time."""

    def free_at(self) -> float:
        """When the identity may be used, as far as the site lets it."""
        return max(self.blocked_until, self.probe_until)


@dataclass(frozen=True)
class Leave:
    """Leave to ask for one video now."""

    identity: Identity
    probe: bool
    """Whether this is the one try of an open breaker."""


@dataclass(frozen=True)
class HandBack:
    """No identity can be used in time; the clip stays as it was."""

    reason: Reason
    detail: str


class Gate:
    """The budget of some identities towards one site, shared with every process that uses them."""

    def __init__(
        self,
        identities: Sequence[Identity],
        manners: Manners,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._identities, self._manners = tuple(identities), manners
        self._clock, self._sleep = clock, sleep
        self._folder = Path(manners.folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def enter(self) -> Leave | HandBack:
        """Wait for leave to ask for one video."""
        gives_up = self._clock() + self._manners.patience_s
        while True:
            now = self._clock()
            identity, standing = min(
                ((one, self.standing(one)) for one in self._shuffled()),
                key=lambda pair: max(pair[1].free_at(), pair[1].next_at),
            )
            free_at = standing.free_at()
            if free_at > max(gives_up, now):
                return self._hand_back(standing)
            if free_at > now:
                self._sleep(min(free_at - now, _LOOK_AGAIN_S))
                continue
            taken = self._take(identity)
            if taken is None:
                continue
            moment, probe = taken
            self._sleep(max(0.0, moment - self._clock()))
            if probe or self.standing(identity).free_at() <= self._clock():
                return Leave(identity, probe)

    def leave(self, leave: Leave, reason: Reason | None, retry_after_s: float | None) -> None:
        """Tell how it went: `reason` is None for a clip that came."""
        with self._locked(leave.identity) as standing:
            now = self._clock()
            if retry_after_s is not None:
                standing.blocked_until = max(standing.blocked_until, now + retry_after_s)
            if leave.probe:
                standing.probe_until = 0.0
            if reason in HELD_BACK:
                self._strike(leave, standing, now, Reason(reason))
            elif reason is None and (leave.probe or not standing.openings):
                if standing.openings:
                    _log.warning("identity %s: served again, goes on", leave.identity.name)
                standing.strikes = standing.openings = 0

    def _strike(self, leave: Leave, standing: Standing, now: float, reason: Reason) -> None:
        standing.strikes += 1
        standing.reason = reason
        opens = not standing.openings and standing.strikes >= self._manners.breaker_after
        if not (leave.probe or opens):
            return
        standing.openings += 1
        standing.opened += 1
        pause = min(self._manners.breaker_s * 2 ** (standing.openings - 1), _LONGEST_OPEN_S)
        standing.blocked_until = max(standing.blocked_until, now + pause)
        _log.warning(
            "identity %s: %s, %d in a row; left alone until %s",
            leave.identity.name, reason, standing.strikes, utc_stamp(standing.blocked_until),
        )  # fmt: skip

    def standing(self, identity: Identity) -> Standing:
        """What the file says now."""
        try:
            raw = json.loads(self._path(identity).read_text())
            return Standing(**{field.name: raw[field.name] for field in fields(Standing)})
        except (OSError, ValueError, KeyError, TypeError):
            return Standing()  # not used yet, or of another version

    def _take(self, identity: Identity) -> tuple[float, bool] | None:
        """Reserve the next moment; None when somebody was faster or the breaker has opened."""
        with self._locked(identity) as standing:
            now = self._clock()
            if standing.free_at() > now:
                return None
            probe = standing.openings > 0
            moment = max(now, standing.next_at)
            if probe:
                standing.probe_until = moment + self._manners.probe_s
            if identity.per_hour:
                gap = 3600.0 / identity.per_hour
                standing.next_at = moment + gap * random.uniform(1.0, 1.0 + _JITTER)
            standing.asked += 1
            return moment, probe

    def _hand_back(self, standing: Standing) -> HandBack:
        return HandBack(
            Reason(standing.reason),
            f"not tried: every identity is held back ({standing.reason}), the first until "
            f"{utc_stamp(standing.free_at())}; the next run tries this clip",
        )

    def _shuffled(self) -> list[Identity]:
        return random.sample(self._identities, len(self._identities))

    def _path(self, identity: Identity) -> Path:
        site = "".join(
            sign if sign.isalnum() or sign in ".-" else "_" for sign in self._manners.site
        )
        return self._folder / f"{site}-{identity.key}.json"

    @contextmanager
    def _locked(self, identity: Identity) -> Iterator[Standing]:
        """Read and write the file of an identity alone."""
        path = self._path(identity)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            standing = self.standing(identity)
            yield standing
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(asdict(standing)))
            temporary.replace(path)
