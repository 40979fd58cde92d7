"""The work on one unit, with extractors that do what the test wants."""

import errno
import io
import math
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow.parquet as pq
import pytest

from extractors.base import Extractor, Features
from pipelines.jobs.features.worker import Runtime, UnitWorker
from pipelines.media.decode import ClipDecoder, ClipFile
from pipelines.media.media_index import MediaFile
from pipelines.store.feature_store import FeatureStore
from pipelines.store.progress import PROGRESS_FILE
from pipelines.store.receipts import Receipt
from pipelines.store.units import ClipTask, Unit
from schemas import (
    RECIPES,
    Clip,
    ClipMedia,
    Failure,
    JobError,
    KnownError,
    Reason,
    Recipe,
    UsageError,
    tensor_values,
)
from tests.pipelines.conftest import make_clip

RECIPE = RECIPES["llp-eccv20"].with_(extractors=("resnet152",), weights="seeded:0")
RUNTIME = Runtime()


class Counting:
    """Gives each frame's number, or does what the clip's name says."""

    provenance: Mapping[str, str] = {"counting": "seeded:0"}

    def __init__(self, recipe: Recipe) -> None:
        self.keep = recipe.resnet152_frames == "keep"
        self.calls = 0

    def extract(self, media: ClipMedia) -> Features | None:
        self.calls += 1
        if "nan" in media.clip_key:
            raise KnownError(Reason.NOT_FINITE, "1 % of the numbers are infinite or undefined")
        if "bug" in media.clip_key:
            raise ZeroDivisionError("a bug")
        if "memory" in media.clip_key:
            np.ones(2**62, np.uint8)
        frames = np.arange(media.n_snippets * 8, dtype=np.float32).reshape(-1, 8, 1)
        values = np.broadcast_to(frames, (media.n_snippets, 8, 2048))
        return values.copy() if self.keep else values.mean(axis=1)


def do(
    folder: Path,
    tasks: list[ClipTask],
    extractor: Counting | None = None,
    *,
    recipe: Recipe = RECIPE,
    load: Callable[[], dict[str, Extractor]] | None = None,
    runtime: Runtime = RUNTIME,
) -> Receipt:
    """Do one unit of some tasks, into the store `folder/out`."""
    (folder / "out").mkdir(exist_ok=True)
    loaded = {"resnet152": cast(Extractor, extractor or Counting(recipe))}
    store = FeatureStore(str(folder / "out"))
    with closing(UnitWorker(store, recipe, runtime, load or (lambda: loaded))) as worker:
        return worker.do(Unit.of(tuple(tasks)))


def task_of(path: Path, length_s: float = 3.0) -> ClipTask:
    clip = Clip(path.stem, 0.0, length_s, name=path.stem)
    return ClipTask(clip, MediaFile(str(path), cut=True), 1)


def work(
    folder: Path, names: list[str], recipe: Recipe = RECIPE, runtime: Runtime = RUNTIME
) -> tuple[Receipt, Counting]:
    extractor = Counting(recipe)
    tasks = [task_of(make_clip(folder / f"{name}.mp4", 2.0)) for name in names]
    return do(folder, tasks, extractor, recipe=recipe, runtime=runtime), extractor


def failure(receipt: Receipt) -> Failure:
    (only,) = receipt.failed
    return only


def test_numbers_that_are_not_finite_are_a_failure_not_a_row(tmp_path: Path) -> None:
    receipt, _ = work(tmp_path, ["good", "nan"])
    assert receipt.done == ("good",)
    assert (failure(receipt).reason, failure(receipt).step) == (Reason.NOT_FINITE, "extract")
    assert receipt.rows["clips"] == 1


def test_bug_is_the_failure_of_its_clip_with_the_traceback(tmp_path: Path) -> None:
    receipt, _ = work(tmp_path, ["good", "bug", "next"])
    assert receipt.done == ("good", "next")
    assert (failure(receipt).reason, failure(receipt).step) == (Reason.INTERNAL, "extract")
    assert failure(receipt).retryable
    assert "Traceback" in failure(receipt).detail
    assert failure(receipt).detail.rstrip().endswith("ZeroDivisionError: a bug")


def test_bug_in_decoding_is_the_failure_of_its_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(self: ClipDecoder, file: ClipFile, folder: Path) -> ClipMedia:
        raise KeyError(0)

    monkeypatch.setattr(ClipDecoder, "decode", stumble)
    receipt, _ = work(tmp_path, ["a", "b"])
    assert [failed.reason for failed in receipt.failed] == [Reason.INTERNAL] * 2
    assert "KeyError: 0" in receipt.failed[1].detail


def test_clip_that_eats_the_memory_is_too_large(tmp_path: Path) -> None:
    receipt, _ = work(tmp_path, ["good", "memory"])
    assert receipt.done == ("good",)
    assert failure(receipt).reason is Reason.TOO_LARGE


def test_clip_that_takes_too_long_in_the_nets_is_a_timeout(tmp_path: Path) -> None:
    receipt, _ = work(tmp_path, ["slow"], runtime=Runtime(extract_factor=0))
    assert (failure(receipt).reason, failure(receipt).step) == (Reason.TIMEOUT, "extract")


def test_weights_that_are_missing_stop_the_job(tmp_path: Path) -> None:
    def load() -> dict[str, Extractor]:
        raise UsageError("no weights")

    with pytest.raises(UsageError, match="no weights"):
        do(tmp_path, [task_of(make_clip(tmp_path / "a.mp4", 2.0))], load=load)


def test_committed_unit_is_not_done_again(tmp_path: Path) -> None:
    first, extractor = work(tmp_path, ["good"])
    assert extractor.calls == 1
    second, extractor = work(tmp_path, ["good"])
    assert extractor.calls == 0
    assert second == first


@pytest.mark.parametrize(("frames", "shape"), [("mean", (2048,)), ("keep", (8, 2048))])
def test_absent_second_is_null(tmp_path: Path, frames: str, shape: tuple[int, ...]) -> None:
    receipt, _ = work(tmp_path, ["short"], RECIPE.with_(resnet152_frames=frames))
    table = pq.read_table(tmp_path / "out" / receipt.parts["snippets"])
    assert table["valid"].to_pylist() == [True, True, False]
    values, present = tensor_values(table["resnet152"].combine_chunks(), shape)
    assert present.tolist() == [True, True, False]
    assert values[1].mean() == pytest.approx(11.5)
    assert table["vggish"].null_count == 3


def test_short_file_of_a_repeated_video_is_ambiguous(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "video.mp4", 2.0)
    clip = Clip("video", 30.0, 32.0)
    task = ClipTask(clip, MediaFile(str(path), cut=False), 1, shared_video=True)
    failed = failure(do(tmp_path, [task]))
    assert failed.reason is Reason.NOT_FOUND
    assert "name the file video_30_32.mp4" in failed.detail


def test_clip_that_starts_a_hundred_thousandth_of_a_second_late_is_done(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "video.mp4", 4.0)
    task = ClipTask(Clip("video", 1e-05, 2.00001), MediaFile(str(path), cut=False), 1)
    assert do(tmp_path, [task]).done == (task.clip.key,)


def test_clip_that_spans_days_is_too_large(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", 2.0)
    receipt = do(tmp_path, [task_of(path, 1e5), task_of(path.rename(tmp_path / "good.mp4"))])
    assert receipt.done == ("good",)
    assert failure(receipt).reason is Reason.NOT_FOUND  # renamed before it was read
    (tmp_path / "good.mp4").rename(path)
    failed = failure(do(tmp_path, [task_of(path, 1e5 + 1)]))
    assert failed.reason is Reason.TOO_LARGE
    assert "the clip spans 100001 s, 28800 s (8 h) at most" in failed.detail


SUBTITLES = {
    "vtt": "WEBVTT\n\n00:00.000 --> 00:05.000\nhello\n",
    "srt": "1\n00:00:00,000 --> 00:00:05,000\nhello\n\n",
    "lrc": "[00:01.00]hello\n[00:02.00]again\n",
    "svg": '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>\n',
}


def test_files_without_tracks_named_as_films_fail_one_by_one(tmp_path: Path) -> None:
    for name, text in SUBTITLES.items():
        (tmp_path / f"{name}.mp4").write_text(text)
    make_clip(tmp_path / "good.mp4", 2.0)
    tasks = [task_of(tmp_path / f"{name}.mp4") for name in [*SUBTITLES, "good"]]
    receipt = do(tmp_path, tasks)
    assert receipt.done == ("good",)
    reasons = {failed.clip_key: failed.reason for failed in receipt.failed}
    assert reasons.pop("svg") in (Reason.FORMAT, Reason.CORRUPT)
    assert reasons == dict.fromkeys(("vtt", "srt", "lrc"), Reason.FORMAT)


def test_script_that_names_its_neighbour_makes_no_rows(tmp_path: Path) -> None:
    make_clip(tmp_path / "good.mp4", 2.0)
    (tmp_path / "script.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    failed = failure(do(tmp_path, [task_of(tmp_path / "script.mp4", math.inf)]))
    assert failed.reason is Reason.UNSAFE_INPUT
    assert "concat" in failed.detail


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "endless.mp4").symlink_to("/dev/zero")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nothing")
    names = ("fifo", "folder", "endless", "dangling")
    receipt = do(tmp_path, [task_of(tmp_path / f"{name}.mp4") for name in names])
    reasons = {failed.clip_key: failed.reason for failed in receipt.failed}
    assert reasons.pop("dangling") is Reason.NOT_FOUND
    assert reasons == dict.fromkeys(names[:3], Reason.UNSAFE_INPUT)


def test_link_to_a_regular_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.mp4").symlink_to(make_clip(tmp_path / "elsewhere" / "film.mp4", 2.0))
    assert do(tmp_path, [task_of(tmp_path / "link.mp4")]).done == ("link",)


def test_name_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    make_clip(tmp_path / "a.mp4", 2.0).rename(path)
    clip = Clip("cafe", 0.0, 3.0, name="cafe")
    receipt = do(tmp_path, [ClipTask(clip, MediaFile(str(path), cut=True), 1)])
    assert receipt.done == ("cafe",)


def test_detail_of_a_failure_is_text_that_tables_and_terminals_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def complain(self: ClipDecoder, file: ClipFile, folder: Path) -> ClipMedia:
        raise KnownError(Reason.CORRUPT, "x" * 10_000 + "\x1b[31m\udce9 end")

    monkeypatch.setattr(ClipDecoder, "decode", complain)
    receipt, _ = work(tmp_path, ["a"])
    detail = failure(receipt).detail
    assert len(detail) == 4000
    assert detail.endswith(r"\x1b[31m\udce9 end")


def test_file_that_vanishes_is_not_found(tmp_path: Path) -> None:
    failed = failure(do(tmp_path, [task_of(tmp_path / "x.mp4")]))
    assert (failed.step, failed.reason) == ("find", Reason.NOT_FOUND)


def test_bucket_that_does_not_answer_is_trouble_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("503 try again")

    monkeypatch.setattr("pipelines.store.files.open_read", refuse)
    clip = Clip("x", 0.0, 3.0)
    failed = failure(do(tmp_path, [ClipTask(clip, MediaFile("gs://bucket/x.mp4", cut=True), 1)]))
    assert (failed.step, failed.reason) == ("find", Reason.NETWORK)


def test_object_that_fills_the_disk_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    monkeypatch.setattr("pipelines.store.files.open_read", lambda uri: Endless())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**7))
    task = ClipTask(Clip("x", 0.0, 3.0), MediaFile("gs://bucket/x.mp4", cut=True), 1)
    failed = failure(do(tmp_path, [task], runtime=Runtime(little_room=1)))
    assert (failed.step, failed.reason) == ("find", Reason.TOO_LARGE)


def test_progress_that_cannot_be_written_hurts_nothing(tmp_path: Path) -> None:
    (tmp_path / "out" / PROGRESS_FILE).mkdir(parents=True)
    receipt, _ = work(tmp_path, ["good"])
    assert receipt.done == ("good",)


def test_full_scratch_disk_stops_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ClipDecoder, "decode", full)
    with pytest.raises(JobError, match="no room for temporary files"):
        work(tmp_path, ["good"])


def test_scratch_disk_without_room_for_a_folder_stops_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(JobError, match=r"no room for temporary files.*Read-only"):
        work(tmp_path, ["good"])


def test_files_of_a_clip_that_fails_are_removed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    left: list[int] = []

    def fail(self: ClipDecoder, file: ClipFile, folder: Path) -> ClipMedia:
        left.append(len([p for p in scratch.rglob("*") if p.name == "half-done"]))
        (folder / "half-done").write_bytes(b"x")
        raise KnownError(Reason.CORRUPT, "broken")

    monkeypatch.setattr(ClipDecoder, "decode", fail)
    receipt, _ = work(tmp_path, ["a", "b", "c"])
    assert [failed.reason for failed in receipt.failed] == [Reason.CORRUPT] * 3
    assert left == [0, 0, 0]


def test_next_clip_is_decoded_while_one_is_in_the_nets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    second_is_ready = threading.Event()
    decode = ClipDecoder.decode

    def decode_and_tell(self: ClipDecoder, file: ClipFile, folder: Path) -> ClipMedia:
        media = decode(self, file, folder)
        decoded.append(file.path.stem)
        if len(decoded) == 2:
            second_is_ready.set()
        return media

    def wait(self: Counting, media: ClipMedia) -> None:
        assert second_is_ready.wait(20)

    monkeypatch.setattr(ClipDecoder, "decode", decode_and_tell)
    monkeypatch.setattr(Counting, "extract", wait)
    receipt, _ = work(tmp_path, ["a", "b", "c"])
    assert receipt.done == ("a", "b", "c")
    assert decoded == ["a", "b", "c"]


def test_frames_of_a_finished_clip_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    most: list[int] = []
    monkeypatch.setattr(
        Counting, "extract", lambda *_: most.append(len(list(scratch.rglob("frames.images"))))
    )
    work(tmp_path, ["a", "b", "c", "d", "e"])
    assert max(most) <= 2
    assert not list(scratch.iterdir())
