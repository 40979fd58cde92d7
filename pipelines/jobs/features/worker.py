"""The work on one unit, without Beam: find, probe, decode, extract, commit.

Each clip ends as rows or as a `Failure`; the unit ends as one receipt.
"""

import errno
import logging
import os
import shutil
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path

import pyarrow as pa
from apache_beam.io.filesystem import BeamIOError

from extractors.base import Extractor
from extractors.pictures import extract_together
from extractors.registry import create
from pipelines.jobs.features.rows import Extracted, clip_tables, join_tables
from pipelines.media.decode import decode, find_window
from pipelines.media.ffmpeg import ffmpeg_version
from pipelines.media.probe import Probe, probe
from pipelines.media.quality import measure
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.progress import ProgressFile
from pipelines.store.receipts import Receipt
from pipelines.store.scratch import make_scratch_folder
from pipelines.store.units import ClipTask, Unit
from schemas import ClipMedia, Failure, JobError, KnownError, Reason, Recipe, TableName
from schemas.clock import utc_stamp

_log = logging.getLogger(__name__)
SCRATCH_PREFIX = "earsight-"

Tables = dict[TableName, pa.Table]


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where and how a worker runs; none of it changes what comes out."""

    device: str = "cpu"
    weights_dir: str | None = None
    clip_timeout_s: float = 50.0
    """Time limit of one child process, in seconds, for a clip of up to a minute."""

    @property
    def decoders(self) -> int:
        """How many clips are decoded while one is in the nets: a GPU needs several to stay busy."""
        cores = os.cpu_count() or 1
        return 1 if self.device == "cpu" else max(1, min(8, cores - 1))


def load_extractors(recipe: Recipe, runtime: Runtime) -> dict[str, Extractor]:
    """The recipe's extractors with their weights, ready to work."""
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


@dataclass(frozen=True)
class Decoded:
    """A clip that is ready for the extractors; its frames lie in `folder` until then."""

    media: ClipMedia
    found: Probe
    sha256: str
    folder: Path
    seconds: float


class UnitWorker:
    """Does units for one store. The nets are loaded when the first clip needs them."""

    def __init__(
        self,
        store: FeatureStore,
        recipe: Recipe,
        runtime: Runtime,
        load: Callable[[], dict[str, Extractor]],
    ) -> None:
        self._store, self._recipe, self._runtime, self._load = store, recipe, runtime, load
        self._progress = ProgressFile(store.out)

    def do(self, unit: Unit) -> Receipt:
        """Do a unit and commit it; a unit that is committed already gives its receipt at once."""
        receipt = self._store.receipt(unit.name)
        if receipt is not None:
            return receipt
        watch, started = Stopwatch(), time.perf_counter()
        done: list[Tables] = []
        failed: list[Failure] = []
        with _scratch_folder() as work, closing(self._decoded_ahead(unit, work)) as decoded:
            for task, media in decoded:
                outcome = media if isinstance(media, Failure) else self._extract(task, media, watch)
                (failed if isinstance(outcome, Failure) else done).append(outcome)  # type: ignore[arg-type]
                if task.media is not None:
                    self._progress.count()
        with watch("write"):
            tables = join_tables(done)
        receipt = self._store.commit(
            unit.name,
            tables,
            tables["clips"]["clip_key"].to_pylist() if tables else [],
            failed,
            watch.seconds,
            self._provenance() if done else {},
        )
        _log.info(
            "%s: %d clips done, %d failed, %.1f s",
            unit.name, len(done), len(failed), time.perf_counter() - started,
        )  # fmt: skip
        return receipt

    def _decoded_ahead(
        self, unit: Unit, work: Path
    ) -> Generator[tuple[ClipTask, Decoded | Failure]]:
        """Every task with its decoded clip, in order; the next clips are decoded meanwhile."""
        ahead = self._runtime.decoders
        with ThreadPoolExecutor(ahead, thread_name_prefix="decode") as pool:
            waiting: deque[Future[Decoded | Failure]] = deque()
            try:
                for place, task in enumerate(unit.tasks):
                    for later in unit.tasks[place + len(waiting) : place + 1 + ahead]:
                        waiting.append(pool.submit(self._find_and_decode, later, work))
                    decoded = waiting.popleft().result()
                    yield task, decoded
                    if isinstance(decoded, Decoded):
                        shutil.rmtree(decoded.folder)
            finally:
                for future in waiting:
                    future.cancel()

    def _find_and_decode(self, task: ClipTask, work: Path) -> Decoded | Failure:
        """Decode one clip into a folder below `work`; called from the decoding threads."""
        step, started, folder = "find", time.perf_counter(), None
        try:
            if task.media is None:
                raise KnownError(
                    Reason.NOT_FOUND,
                    f"no file {task.clip.key}.* or {task.clip.video_id}.* among the media",
                )
            folder = Path(tempfile.mkdtemp(dir=work))
            with files.local_copy(task.media.uri, folder) as path:
                with path.open("rb") as file:
                    sha256 = file_digest(file, "sha256").hexdigest()
                step = "decode"
                found, media = self._decode(task, path, folder)
            return Decoded(media, found, sha256, folder, time.perf_counter() - started)
        except (KnownError, OSError, BeamIOError) as trouble:
            if folder is not None:
                shutil.rmtree(folder)
            return _failure(task, step, trouble)

    def _extract(self, task: ClipTask, decoded: Decoded, watch: Stopwatch) -> Tables | Failure:
        watch.seconds["decode"] += decoded.seconds
        try:
            features = extract_together(self._load(), decoded.media, watch)
            with watch("write"):
                quality = measure(decoded.media)
                extracted = Extracted(
                    task.clip, decoded.media, decoded.found, quality, decoded.sha256, features
                )
                return clip_tables(extracted, self._recipe)
        except (KnownError, OSError, BeamIOError) as trouble:
            return _failure(task, "extract", trouble)

    def _decode(self, task: ClipTask, path: Path, work: Path) -> tuple[Probe, ClipMedia]:
        found = probe(path)
        cut = task.media is not None and task.media.cut
        window = find_window(task.clip, found, cut=cut)
        if task.shared_video and not cut and window.start_s != task.clip.start_s:
            raise KnownError(
                Reason.NOT_FOUND,
                f"{path.name} is as long as one clip, but the manifest has several clips of this "
                f"video; name the file {task.clip.key}{path.suffix}",
            )
        limit = max(self._runtime.clip_timeout_s, window.length_s)
        return found, decode(path, task.clip, found, window, self._recipe, work, limit)

    def _provenance(self) -> dict[str, str]:
        facts = {"ffmpeg": ffmpeg_version(), "device": self._runtime.device}
        for extractor in self._load().values():
            facts.update(extractor.provenance)
        return facts


def _failure(task: ClipTask, step: str, trouble: Exception) -> Failure:
    """The failure of a clip; raises what is not the clip's fault."""
    error = _as_known(trouble, step)
    _log.debug("%s: %s at %s: %s", task.clip.key, error.reason, step, error.detail)
    return Failure(task.clip.key, step, error.reason, error.detail, task.attempt, utc_stamp())


def _as_known(trouble: Exception, step: str) -> KnownError:
    """Trouble with a clip's file as a reason; a full scratch disk stops the job instead."""
    if isinstance(trouble, KnownError):
        return trouble
    if isinstance(trouble, OSError) and trouble.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
        raise _no_room(trouble) from trouble
    if step != "find":
        raise trouble
    if isinstance(trouble, FileNotFoundError):
        return KnownError(Reason.NOT_FOUND, f"the file was listed but is gone: {trouble}")
    reason = Reason.CORRUPT if isinstance(trouble, OSError) else Reason.NETWORK
    return KnownError(reason, f"the file cannot be read: {trouble}")


def _no_room(trouble: OSError) -> JobError:
    return JobError(
        f"no room for temporary files in {tempfile.gettempdir()} ({trouble.strerror}); make "
        "room or set TMPDIR, then run the same command again: what is finished is kept"
    )


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """Lend a unit its scratch folder, and remove it afterwards."""
    try:
        folder = make_scratch_folder(SCRATCH_PREFIX)
    except OSError as trouble:
        raise _no_room(trouble) from trouble
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
