import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pipelines.demo import CLASSES, DemoOptions, generate
from pipelines.demo.audio import mix_audio
from pipelines.demo.classes import FAMILIES
from pipelines.demo.looks import LOOKS
from pipelines.demo.motion import HEIGHT, MOVES, WIDTH
from pipelines.demo.scene import SECONDS, Scene, SceneEvent, plan_scene
from pipelines.demo.synthesis import RATE, VOICES, render_voice
from pipelines.demo.video import render_video
from schemas import Vocabulary, second_grid
from schemas.demo import FRAME_RATE
from schemas.machine.ffmpeg import ffmpeg_binary
from schemas.manifests import read_events, read_manifest, vocabulary

OPTIONS = DemoOptions(clips=14, seed=1, classes=6, sources=True)
SCENES = [plan_scene(OPTIONS, index) for index in range(OPTIONS.clips)]
NAMES = [kind.name for kind in CLASSES]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(OPTIONS, tmp_path_factory.mktemp("demo"))


def decoded(media: Path, *settings: str) -> bytes:
    command = [ffmpeg_binary(), "-nostdin", "-v", "error", "-i", str(media), *settings, "pipe:1"]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def sound_of(media: Path) -> NDArray[np.float32]:
    data = decoded(media, "-vn", "-ac", "1", "-ar", str(RATE), "-f", "f32le")
    return np.frombuffer(data, np.float32)[: SECONDS * RATE]


def frames_of(media: Path) -> NDArray[np.uint8]:
    data = decoded(media, "-an", "-f", "rawvideo", "-pix_fmt", "bgr24")
    return np.frombuffer(data, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)


def heard_seconds(scene: Scene) -> set[int]:
    return {second for event in scene.events if event.heard for second in range(*event.heard)}


def test_every_class_has_a_look_and_a_voice() -> None:
    assert list(LOOKS) == NAMES
    assert list(VOICES) == NAMES
    assert {kind.family for kind in CLASSES} == set(FAMILIES)
    assert all(sum(kind.modes) == pytest.approx(1) for kind in CLASSES)
    assert {look.move for look in LOOKS.values()} <= set(MOVES)


def test_the_reader_sees_the_planned_clips(world: Path) -> None:
    clips = list(read_manifest("demo", world))
    assert [(clip.key, clip.split, clip.labels) for clip in clips] == [
        (scene.clip_key, scene.split, scene.labels) for scene in SCENES
    ]
    assert vocabulary("demo", world).names == OPTIONS.class_names
    assert {clip.split for clip in clips} == {"train", "val", "test"}
    assert all(len(clip.video_id) == 11 and clip.n_snippets == 10 for clip in clips)


def test_weak_labels_are_the_union_of_what_is_heard_and_seen(world: Path) -> None:
    clips, events = list(read_manifest("demo", world)), list(read_events("demo", world))
    keys, names = [clip.key for clip in clips], Vocabulary(OPTIONS.class_names)
    heard = second_grid(events, keys, names, "audio")
    seen = second_grid(events, keys, names, "visual")
    weak = names.multi_hot([clip.labels for clip in clips])
    np.testing.assert_array_equal((heard | seen).any(axis=1), weak > 0)
    assert not np.array_equal(heard, seen)


def test_boxes_are_there_in_exactly_the_seen_seconds(world: Path) -> None:
    rows = pq.read_table(world / "demo_boxes.parquet").to_pylist()
    found = {(row["clip_key"], row["label"], row["frame_index"] // FRAME_RATE) for row in rows}
    events = [event for event in read_events("demo", world) if event.modality == "visual"]
    seconds = {
        (event.clip_key, event.label, second)
        for event in events
        for second in range(int(event.onset_s), int(event.offset_s))
    }
    assert found == seconds
    assert all(0 <= row["x0"] < row["x1"] <= 1 and 0 <= row["y0"] < row["y1"] <= 1 for row in rows)
    assert all(0 <= row["visible_share"] <= 1 for row in rows)
    assert np.median([row["visible_share"] for row in rows]) > 0.9


def test_sounding_seconds_are_louder_than_the_floor(world: Path) -> None:
    """12 dB is the least level of an event; a rhythm may leave parts of a second empty."""
    compared = 0
    for scene in SCENES:
        sound = sound_of(world / f"{scene.clip_key}.mp4").reshape(SECONDS, RATE)
        # a distractor reaches 9 dB in a second that should be quiet: the least one is the floor
        level = 20 * np.log10(np.sqrt((sound**2).mean(axis=1)) + 1e-9)
        heard = heard_seconds(scene)
        quiet = [level[second] for second in range(SECONDS) if second not in heard]
        if heard and quiet:
            compared += 1
            assert min(level[second] for second in heard) > min(quiet) + 6
    assert compared >= 5


def test_the_object_is_what_its_box_holds(world: Path) -> None:
    """Inside the box the picture differs from the same scene without the event; outside less."""
    scene = next(s for s in SCENES if [e for e in s.events if e.seen] and len(s.events) == 1)
    frames = frames_of(world / f"{scene.clip_key}.mp4")
    empty = Scene(scene.index, scene.clip_key, scene.split, ())
    planes, _ = render_video(OPTIONS, empty)
    backdrop = planes[:, :HEIGHT].astype(float)  # luma in 16..235
    _, boxes = render_video(OPTIONS, scene)
    assert len(frames) == SECONDS * FRAME_RATE
    for box in boxes[::10]:
        luma = frames[box.frame_index].astype(float) @ (0.098, 0.504, 0.257) + 16
        change = np.abs(luma - backdrop[box.frame_index])
        rows = slice(round(box.y0 * HEIGHT), round(box.y1 * HEIGHT))
        columns = slice(round(box.x0 * WIDTH), round(box.x1 * WIDTH))
        inside = change[rows, columns].mean()
        change[rows, columns] = 0
        assert inside > 10
        assert inside > 4 * change.mean()
        assert 0.1 < box.x1 - box.x0 < 0.75


def test_sources_are_the_events_that_are_heard(world: Path) -> None:
    events = [(s, e) for s in SCENES for e in s.events if e.heard]
    names = {f"{s.clip_key}_{e.event_id}_{e.label}.wav" for s, e in events}
    assert {path.name for path in (world / "demo_sources").iterdir()} == names
    for scene in SCENES:
        track = mix_audio(OPTIONS, scene)
        rest = track.mix.mean(axis=0) - sum(track.sources.values(), np.zeros(SECONDS * RATE))
        for second in heard_seconds(scene):
            part = slice(second * RATE, (second + 1) * RATE)
            assert (rest[part] ** 2).mean() < (track.mix[:, part] ** 2).mean()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_voice_is_heard_in_every_second(name: str, seed: int) -> None:
    sound = render_voice(VOICES[name], np.random.default_rng(seed), 4 * RATE)
    level = np.sqrt((sound.reshape(4, RATE) ** 2).mean(axis=1))
    assert np.sqrt((sound**2).mean()) == pytest.approx(1)
    assert level.min() > 0.5
    assert abs(sound[0]) < 1e-6
    assert abs(sound[-1]) < 1e-6


@pytest.mark.parametrize("difficulty", ["easy", "default", "hard"])
@pytest.mark.parametrize("name", NAMES)
def test_every_look_fits_the_frame(name: str, difficulty: str) -> None:
    options = DemoOptions(classes=16, difficulty=difficulty)  # type: ignore[arg-type]
    event = SceneEvent(0, name, None, (2, 4))
    frames, boxes = render_video(options, Scene(NAMES.index(name), "clip", "train", (event,)))
    assert frames.shape == (SECONDS * FRAME_RATE, HEIGHT * 3 // 2, WIDTH)
    assert [box.frame_index for box in boxes] == list(range(2 * FRAME_RATE, 4 * FRAME_RATE))
    grown = boxes[5:-5]
    assert min(box.visible_share for box in grown) > 0.5
    assert max(box.y1 - box.y0 for box in grown) > 0.15


def test_what_is_seen_stays_in_the_picture() -> None:
    """The hardest camera; only another object may hide one for a while."""
    options = DemoOptions(classes=16, difficulty="hard")
    shares = []
    for index in range(10):
        scene = plan_scene(options, index)
        _, boxes = render_video(options, scene)
        shares += [box.visible_share for box in boxes]
        seen = {(e.event_id, second) for e in scene.events if e.seen for second in range(*e.seen)}
        assert {(box.event_id, box.frame_index // FRAME_RATE) for box in boxes} == seen
    assert np.mean(np.array(shares) > 0.5) > 0.95


def test_touching_events_of_one_class_are_one_run() -> None:
    events = (
        SceneEvent(0, "Frog", (0, 3), None),
        SceneEvent(1, "Frog", (3, 5), (8, 10)),
        SceneEvent(2, "Frog", (7, 8), None),
    )
    scene = Scene(0, "clip", "train", events)
    assert scene.runs("audio") == [("Frog", 0, 5), ("Frog", 7, 8)]
    assert scene.runs("visual") == [("Frog", 8, 10)]


def test_the_world_is_as_uneven_as_real_clips() -> None:
    scenes = [plan_scene(DemoOptions(), index) for index in range(2000)]
    counts = np.bincount([len(scene.events) for scene in scenes], minlength=5) / len(scenes)
    assert len(counts) == 5
    assert 0.02 < counts[0] < 0.08
    shares = [[s.split for s in scenes].count(split) / 2000 for split in ("train", "val", "test")]
    assert shares == [0.7, 0.1, 0.2]
    owls = [event for scene in scenes for event in scene.events if event.label == "Owl"]
    rockets = [event for scene in scenes for event in scene.events if event.label == "Rocket"]
    assert np.mean([event.seen is not None for event in owls]) < 0.5
    assert np.mean([event.heard is not None for event in rockets]) < 0.5
    both = [e for s in scenes for e in s.events if e.heard and e.seen]
    assert np.mean([event.heard != event.seen for event in both]) > 0.5
