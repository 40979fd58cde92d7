"""How long a clip takes, by stage: of the last features job on this machine, or of the bench."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.store.receipts import WARM_UP, Receipt
from schemas import FEATURES
from schemas.published import cache_folder

DECODE = "decode"
"""Stage that runs beside the others."""
BENCH = {
    "logmel": 0.0058, "vggish": 0.2047, "segments": 0.3618, "frames": 0.2334, "resnet152": 9.1322,
    "r2plus1d": 2.1269, "proposals": 0.8036, "write": 0.0158,
}  # fmt: skip
"""Seconds of a clip of 10 s on two slow cores, nets in fp32 (docs/benchmarks/extract.json)."""


@dataclass(frozen=True)
class Pace:
    """Seconds of one clip by stage, and where they were measured."""

    seconds: Mapping[str, float]
    clips: int
    """Clips that the mean is of."""
    source: str
    """Where they were measured, to go on from "as"."""

    @classmethod
    def of(cls, receipts: Iterable[Receipt], source: str) -> "Pace":
        """Return the mean over the clips of some receipts, without the first ones of a process.

        These wait for nets that are set up for their first input. Where there are no others, they
        are what is known, under `WARM_UP`.
        """
        total: dict[str, float] = defaultdict(float)
        done = warming = 0
        for receipt in receipts:
            done, warming = done + len(receipt.done), warming + receipt.warming
            for stage, spent in receipt.seconds.items():
                total[stage] += spent
        warm_up = total.pop(WARM_UP, 0.0)
        if done == warming:
            total[WARM_UP] = warm_up
        clips = done - warming or done
        return cls({stage: spent / max(1, clips) for stage, spent in total.items()}, clips, source)

    def work(self, extractors: Iterable[str] | None = None) -> float:
        """Return seconds of one clip, of some extractors or of all, without decoding."""
        kept = FEATURES if extractors is None else {"frames", *extractors}
        return sum(
            spent
            for stage, spent in self.seconds.items()
            if stage != DECODE and (stage in kept or stage not in FEATURES)
        )

    def record(self) -> None:
        """Keep it as that of the last job on this machine; a full or closed disk costs no job."""
        with suppress(OSError):
            _last_file().parent.mkdir(parents=True, exist_ok=True)
            _last_file().write_text(json.dumps(asdict(self)))


def last_pace(extractors: Iterable[str]) -> Pace:
    """Return the pace of the last job here that ran all these extractors, else of the bench."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        last = Pace(**json.loads(_last_file().read_text()))
        if set(extractors) <= last.seconds.keys() and last.work() > 0:
            return last
    return Pace(BENCH, 1, "the bench took for 10 s on two slow cores in fp32; a job of yours tells")


def _last_file() -> Path:
    return cache_folder() / "last-features.json"
