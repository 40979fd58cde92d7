"""What went wrong with a clip, as a value: the closed list of reasons, and the errors behind it."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a clip has no rows. The list is closed: extend it here and nowhere else."""

    GONE = "gone"
    PRIVATE = "private"
    GEO_BLOCKED = "geo_blocked"
    AGE_RESTRICTED = "age_restricted"
    BOT_CHECK = "bot_check"
    RATE_LIMITED = "rate_limited"
    NETWORK = "network"
    FORMAT = "format"
    NOT_FOUND = "not_found"
    CORRUPT = "corrupt"
    NO_STREAMS = "no_streams"
    TOO_SHORT = "too_short"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    UNSAFE_INPUT = "unsafe_input"
    NOT_FINITE = "not_finite"
    INTERNAL = "internal"
    """A bug of ours; `detail` holds the traceback."""

    @property
    def retryable(self) -> bool:
        """True when the trouble may pass, so that the next run tries the clip again."""
        return self in _PASSING


_PASSING = frozenset(
    {
        Reason.BOT_CHECK,
        Reason.RATE_LIMITED,
        Reason.NETWORK,
        Reason.NOT_FOUND,
        Reason.TIMEOUT,
        Reason.INTERNAL,
    }
)


class KnownError(Exception):
    """Expected trouble with one clip; the job turns it into a `Failure` and goes on."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class UsageError(Exception):
    """Wrong input from the person at the keyboard: one sentence, exit status 2."""


class JobError(Exception):
    """The job cannot go on although it was asked rightly (a full disk, say): exit status 1."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One clip that ended without rows."""

    clip_key: str
    step: str
    """Where it happened: `find`, `probe`, `decode`, `extract`, or a step of the download."""
    reason: Reason
    detail: str
    """The full message of the tool, or a sentence of ours."""
    attempts: int
    """How often the clip has been tried, this time included."""
    at: str
    """When, ISO 8601 in UTC."""

    @property
    def retryable(self) -> bool:
        """Whether the next run tries this clip again."""
        return self.reason.retryable
