"""The work on one unit, without Beam: find, probe, decode, extract, commit.

Each clip ends as rows or as a `Failure`; the unit ends as one receipt.
"""

import logging
import math
import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from extractors.base import Extractor
from extractors.frames import extract_together
from extractors.nets.threads import THREADS
from extractors.registry import create
from pipelines.jobs.clip_failure import failure_of, no_room
from pipelines.jobs.features.decoding import DecodedClip, DecodingPool
from pipelines.jobs.features.rows import Extracted, clip_tables, join_tables
from pipelines.media.ffmpeg import ffmpeg_version
from pipelines.media.quality import measure
from pipelines.media.scratch_room import LITTLE_ROOM
from pipelines.store.feature_store import FeatureStore
from pipelines.store.progress import ProgressFile
from pipelines.store.receipts import WARM_UP, Receipt
from pipelines.store.scratch import make_scratch_folder
from pipelines.store.units import ClipTask, Unit
from schemas import ClipMedia, Failure, KnownError, Reason, Recipe, TableName

_log = logging.getLogger(__name__)
SCRATCH_PREFIX = "earsight-"
_CLIPS_PER_DECODER = 4
"""Clips in the nets that one decoding thread keeps supplied: a clip takes longer there."""

Tables = dict[TableName, pa.Table]
ClipResult = tuple[Tables | Failure, Mapping[str, float]]
"""The tables of a clip that was done or its failure, and seconds by stage."""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where and how a worker runs; none of it changes what comes out."""

    device: str = "cpu"
    weights_dir: str | None = None
    clip_timeout_s: float = 50.0
    """Time limit for decoding a clip of up to that length, in seconds."""
    extract_factor: float = 20
    """The extractors may take so many times the time limit of decoding."""
    clips_at_once: int = 1
    """So many clips of a unit are in the nets at once, each in a thread of its own."""
    little_room: int = LITTLE_ROOM
    """With less room than this for temporary files, in bytes, a full disk is no clip's fault."""

    @property
    def decoders(self) -> int:
        """Number of clips that are decoded while others are in the nets: a GPU needs several."""
        cores = os.cpu_count() or 1
        on_cpu = math.ceil(self.clips_at_once / _CLIPS_PER_DECODER)
        return on_cpu if self.device == "cpu" else max(1, min(8, cores - 1))


def load_extractors(recipe: Recipe, runtime: Runtime) -> dict[str, Extractor]:
    """Load the recipe's extractors with their weights."""
    loaded = {}
    for name in recipe.extractors:
        extractor = create(name, recipe)
        extractor.load(
            runtime.device,
            recipe.weights,
            weights_dir=Path(runtime.weights_dir) if runtime.weights_dir else None,
            precision=recipe.precision,
        )
        loaded[name] = extractor
    return loaded


@dataclass
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add what another watch measured."""
        for stage, spent in seconds.items():
            self.seconds[stage] += spent


class ClipTimer:
    """Times the stages of one clip, and ends a clip that takes too long at its next stage."""

    def __init__(self, watch: Stopwatch, timeout_s: float) -> None:
        self._watch, self._timeout_s = watch, timeout_s
        self._ends = time.monotonic() + timeout_s

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block; `KnownError` `timeout` when the clip's time was over before."""
        if time.monotonic() > self._ends:
            raise KnownError(
                Reason.TIMEOUT, f"extraction took longer than {self._timeout_s:g} s, before {stage}"
            )
        with self._watch(stage):
            yield


class UnitWorker:
    """Does units for one store. The nets are loaded before the first clip with media is read."""

    def __init__(
        self,
        store: FeatureStore,
        recipe: Recipe,
        runtime: Runtime,
        load: Callable[[], dict[str, Extractor]],
    ) -> None:
        self._store, self._recipe, self._runtime, self._load = store, recipe, runtime, load
        self._progress = ProgressFile(store.out)
        self._warm = False
        self._decoding = DecodingPool(
            recipe,
            runtime.decoders,
            runtime.clip_timeout_s,
            runtime.little_room,
            held=runtime.clips_at_once,
        )

    def do(self, unit: Unit) -> Receipt:
        """Do a unit, commit it and return its receipt, at once for one that is committed."""
        receipt = self._store.receipt(unit.name)
        if receipt is not None:
            return receipt
        watch, started = Stopwatch(), time.perf_counter()
        done: list[Tables] = []
        warming = 0
        failed: list[Failure] = []
        for result, seconds in self._do_clips(unit):
            watch.add(seconds)
            if isinstance(result, Failure):
                failed.append(result)
            else:
                done.append(result)
                warming += WARM_UP in seconds
        with watch("write"):
            tables = join_tables(done)
        receipt = self._store.commit(
            unit.name,
            tables,
            tables["clips"]["clip_key"].to_pylist() if tables else [],
            failed,
            watch.seconds,
            self._provenance() if done else {},
            warming=warming,
        )
        _log.info(
            "%s: %d clips done, %d failed, %.1f s",
            unit.name, len(done), len(failed), time.perf_counter() - started,
        )  # fmt: skip
        return receipt

    def close(self) -> None:
        """End the processes that read media."""
        self._decoding.close()

    def _do_clips(self, unit: Unit) -> Sequence[ClipResult]:
        """Return what became of each clip, in order; several are in the nets at once."""
        if not self._warm and any(task.media for task in unit.tasks):
            self._load()  # no clip that is being read shall wait for it
        at_once = self._runtime.clips_at_once
        free = threading.Semaphore(at_once)
        results: list[Future[ClipResult]] = []
        with (
            _scratch_folder() as scratch,
            closing(self._decoding.decode(unit.tasks, scratch)) as clips,
            ThreadPoolExecutor(at_once, thread_name_prefix="extract") as pool,
        ):
            while free.acquire() and not any(map(_gave_up, results)):
                following = next(clips, None)
                if following is None:
                    break
                results.append(pool.submit(self._do_clip, *following))
                results[-1].add_done_callback(lambda _: free.release())
        return [result.result() for result in results]

    def _do_clip(self, task: ClipTask, clip: DecodedClip | Failure) -> ClipResult:
        """Extract a decoded clip and remove its frames; called from several threads."""
        watch, cold = Stopwatch(), not self._warm
        if isinstance(clip, Failure):
            result: Tables | Failure = clip
        else:
            try:
                result = self._extract(task, clip, watch)
            finally:
                shutil.rmtree(clip.folder, ignore_errors=True)
        if task.media is not None:
            self._progress.count()
        if cold and not isinstance(result, Failure):
            self._warm = True
            return result, {WARM_UP: sum(watch.seconds.values()) - watch.seconds["decode"]}
        return result, watch.seconds

    def _extract(self, task: ClipTask, clip: DecodedClip, watch: Stopwatch) -> Tables | Failure:
        watch.seconds["decode"] += clip.seconds
        extractors = self._load()
        timer = ClipTimer(watch, self._extract_limit_s(clip.media))
        try:
            features = extract_together(extractors, clip.media, timer)
            with timer("write"):
                quality = measure(clip.media)
                extracted = Extracted(
                    task.clip, clip.media, clip.probe, quality, clip.sha256, features
                )
                return clip_tables(extracted, self._recipe)
        except Exception as error:  # noqa: BLE001 whatever one clip raises is its own failure
            return failure_of(task, "extract", error)

    def _extract_limit_s(self, media: ClipMedia) -> float:
        return self._runtime.extract_factor * max(self._runtime.clip_timeout_s, media.n_snippets)

    def _provenance(self) -> dict[str, str]:
        facts = {
            "ffmpeg": ffmpeg_version(),
            "device": self._runtime.device,
            "torch_threads": str(THREADS),
        }
        for extractor in self._load().values():
            facts.update(extractor.provenance)
        return facts


def _gave_up(result: Future[ClipResult]) -> bool:
    """Tell whether a clip met what ends the job."""
    return result.done() and result.exception() is not None


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """Lend a unit its scratch folder, and remove it afterwards."""
    try:
        folder = make_scratch_folder(SCRATCH_PREFIX)
    except OSError as error:
        raise no_room(error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
