"""Units of work: deterministic, complete, and named by what they hold."""

from pipelines.media.media_index import MediaIndex
from pipelines.store.units import (
    ClipTask,
    Unit,
    into_units,
    into_units_by_video,
    open_tasks,
    repeated_videos,
)
from schemas import Clip, Failure, Reason

CLIPS = [Clip(f"video{i:06d}", 10.0 * i, 10.0 * i + 10, "train", ("Dog", "Cat")) for i in range(10)]
PASSING = frozenset(reason for reason in Reason if reason.retryable)


def failure(clip: Clip, reason: Reason, attempts: int = 1) -> Failure:
    return Failure(clip.key, "decode", reason, "because", attempts, "2026-01-01T00:00:00+00:00")


def tasks(
    media: list[str], done: set[str] | None = None, failed: dict[str, Failure] | None = None
) -> list[ClipTask]:
    return list(
        open_tasks(
            CLIPS, MediaIndex(media), frozenset(done or ()), failed or {}, PASSING, frozenset()
        )
    )


def test_every_clip_is_in_one_unit() -> None:
    found = tasks([f"m/{clip.key}.mp4" for clip in CLIPS[:7]])
    units = list(into_units(found, 3))
    assert sorted(task.clip.key for unit in units for task in unit.tasks) == sorted(
        clip.key for clip in CLIPS
    )
    assert [len(unit.tasks) for unit in units] == [3, 3, 1, 3]


def test_unit_survives_the_shuffle() -> None:
    (unit,) = into_units(tasks([f"m/{clip.key}.mp4" for clip in CLIPS]), 10)
    assert Unit.decode(unit.encode()) == unit
    assert len(unit.encode()) < 3000


def test_open_end_survives_the_shuffle() -> None:
    clip = Clip("x", 0.0, float("inf"), name="x")
    unit = Unit.of((ClipTask(clip, None, 1),))
    assert Unit.decode(unit.encode()) == unit


def test_name_changes_with_clips_and_attempts_only() -> None:
    first = Unit.of(tuple(tasks([])))
    assert Unit.of(tuple(tasks([]))).name == first.name
    again = tasks(["m/video000000.mp4"], failed={CLIPS[0].key: failure(CLIPS[0], Reason.NOT_FOUND)})
    assert Unit.of(tuple(again)).name != first.name


def test_done_clips_drop_out() -> None:
    assert [task.clip.key for task in tasks([], done={clip.key for clip in CLIPS[1:]})] == [
        CLIPS[0].key
    ]


def test_failures_are_tried_again_by_their_reason() -> None:
    failed = {
        CLIPS[0].key: failure(CLIPS[0], Reason.CORRUPT),
        CLIPS[1].key: failure(CLIPS[1], Reason.TIMEOUT, attempts=2),
    }
    found = {task.clip.key: task for task in tasks(["m/video000001.mp4"], failed=failed)}
    assert CLIPS[0].key not in found
    assert found[CLIPS[1].key].attempt == 3


def test_missing_clip_waits_for_its_file() -> None:
    failed = {clip.key: failure(clip, Reason.NOT_FOUND) for clip in CLIPS}
    assert tasks([], failed=failed) == []
    (task,) = tasks(["m/video000004.webm"], failed=failed)
    assert task.clip == CLIPS[4]
    assert task.attempt == 2


def test_file_by_key_goes_before_file_by_video() -> None:
    index = MediaIndex(["m/video000003.mp4", "m/video000003_30_40.mkv", "m/notes.txt"])
    found = index.find(CLIPS[3])
    assert found is not None
    assert (found.uri, found.cut) == ("m/video000003_30_40.mkv", True)
    assert len(index) == 2


def test_repeated_videos() -> None:
    again = [*CLIPS, Clip("video000002", 100.0, 110.0)]
    assert repeated_videos(again) == {"video000002"}


def test_task_says_whether_its_video_has_other_clips() -> None:
    repeated = frozenset({CLIPS[2].video_id})
    found = open_tasks(CLIPS, MediaIndex([]), frozenset(), {}, PASSING, repeated)
    assert [task.clip for task in found if task.shared_video] == [CLIPS[2]]


def test_clips_of_one_video_are_never_parted() -> None:
    order = "x a b y c x d y z z z z e".split()
    shared = {"x", "y", "z"}
    tasks = [ClipTask(Clip(v, n, n + 1.0), None, 1, v in shared) for n, v in enumerate(order)]
    units = list(into_units_by_video(tasks, 3))
    assert ["".join(task.clip.video_id for task in unit.tasks) for unit in units] == [
        "abc", "de", "xx", "yy", "zzzz"
    ]  # fmt: skip
    assert all(unit == Unit.of(unit.tasks) for unit in units)
    assert [len(unit.tasks) for unit in into_units_by_video(tasks, 4)] == [4, 3, 2, 4]
    assert list(into_units_by_video([], 3)) == []
    (single,) = into_units_by_video(tasks[:1], 3)
    assert single.tasks == (tasks[0],)


def test_clips_without_files_stand_apart_4096_to_a_unit() -> None:
    clips = [Clip("v", float(n), n + 1.0) for n in range(4100)]
    tasks = [ClipTask(clip, None, 1) for clip in clips]
    assert [len(unit.tasks) for unit in into_units(tasks, 3)] == [4096, 4]
    assert not tasks[0].shared_video
