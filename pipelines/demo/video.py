"""The video of one clip: backdrop, objects and camera become frames and boxes."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.demo.backdrop import MARGIN, draw_decoy, paint_backdrop
from pipelines.demo.looks import LOOKS
from pipelines.demo.motion import HEIGHT, WIDTH, Path, camera, object_path
from pipelines.demo.options import DemoOptions, Difficulty
from pipelines.demo.pen import Image, Pen, mix_tint, speckle
from pipelines.demo.scene import SECONDS, Scene, SceneEvent, generator
from schemas.demo import FRAME_RATE

N_FRAMES = FRAME_RATE * SECONDS
PHASES = 12
"""Distinct drawings of one object; its phase runs through them."""

_DECOY_ITEM = 100  # random streams of decoys, away from those of events
_SOLID = 127  # coverage above which a pixel counts as the object's
_NOBODY = 255


@dataclass(frozen=True, slots=True)
class Box:
    """Where one object is in one frame."""

    frame_index: int
    event_id: int
    label: str
    x0: float
    y0: float
    x1: float
    y1: float
    """Edges as shares of the frame's width and height, 0..1."""
    visible_share: float
    """Share of the object's pixels that are inside the frame and not covered."""


@dataclass(frozen=True, eq=False)
class _Actor:
    """One moving thing: its drawings, its path, and when it is there."""

    event: SceneEvent | None
    sheets: list[Image]
    solid: list[int]
    """Solid pixels of each sheet at full size."""
    first_frame: int
    path: Path
    cycles_per_s: float

    def present(self, frame: int) -> bool:
        return 0 <= frame - self.first_frame < len(self.path.x)


def render_video(options: DemoOptions, scene: Scene) -> tuple[NDArray[np.uint8], list[Box]]:
    """Return the frames of a clip and the boxes of its objects, by frame and event.

    Frames are planar YUV 4:2:0 (BT.601, limited range), uint8 [250, 360, 320]: what x264 eats.
    """
    rng = generator(options, scene.index, "video")
    ranges = options.ranges
    clutter = int(rng.integers(ranges.clutter[0], ranges.clutter[1] + 1))
    backdrop = paint_backdrop(rng, round(HEIGHT * MARGIN), round(WIDTH * MARGIN), clutter)
    view = camera(rng, ranges, N_FRAMES)
    actors = [*_decoys(options, scene.index), *_cast(options, scene)]
    grain = _grain(rng, ranges.grain)
    frames = np.empty((N_FRAMES, HEIGHT * 3 // 2, WIDTH), np.uint8)
    boxes: list[Box] = []
    for index in range(N_FRAMES):
        image = _look_at(backdrop, view[index])
        boxes += _paint(image, [actor for actor in actors if actor.present(index)], index,
                        view[index])  # fmt: skip
        if grain is not None:
            top, left = int(index * 7 % 31), int(index * 13 % 37)
            shown = grain[top : top + HEIGHT, left : left + WIDTH]
            image = np.asarray(cv2.add(image, shown, dtype=0), np.uint8)
        cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420, dst=frames[index])
    return frames, boxes


def _grain(rng: np.random.Generator, depth: int) -> NDArray[np.int16] | None:
    if not depth:
        return None
    plane = rng.integers(-depth, depth + 1, (HEIGHT + 31, WIDTH + 37, 1), dtype=np.int16)
    return np.repeat(plane, 3, axis=2)


def _look_at(backdrop: Image, view: NDArray[np.float64]) -> Image:
    shift_x, shift_y, zoom = view
    middle = (backdrop.shape[1] / 2 + shift_x, backdrop.shape[0] / 2 + shift_y)
    matrix = np.array(
        [[zoom, 0, WIDTH / 2 - zoom * middle[0]], [0, zoom, HEIGHT / 2 - zoom * middle[1]]]
    )
    return np.asarray(
        cv2.warpAffine(
            backdrop, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        ),
        dtype=np.uint8,
    )  # fmt: skip


def _cast(options: DemoOptions, scene: Scene) -> list[_Actor]:
    """Return the objects that are seen, in the order of the events: later ones in front."""
    cast: list[_Actor] = []
    for event in scene.events:
        if event.seen is None:
            continue
        rng = generator(options, scene.index, "video", event.event_id + 1)
        look = LOOKS[event.label]
        height = rng.uniform(*options.ranges.height) * HEIGHT
        height = min(height, 0.62 * WIDTH / look.aspect)
        tint = mix_tint(rng, look.main, look.second)
        mirrored = bool(rng.integers(2))
        width = round(round(height) * look.aspect)
        texture = speckle(rng, round(height), width, *look.texture)
        sheets = []
        for step in range(PHASES):
            pen = Pen(round(height), look.aspect)
            look.draw(pen, tint, step / PHASES)
            sheet = pen.shaded(texture)
            sheets.append(np.ascontiguousarray(sheet[:, ::-1]) if mirrored else sheet)
        half = (width / WIDTH / 2, height / HEIGHT / 2)
        first = event.seen[0] * FRAME_RATE
        n_frames = (event.seen[1] - event.seen[0]) * FRAME_RATE
        pan = options.ranges.pan
        tries = [object_path(rng, look.move, n_frames, half, pan) for _ in range(8)]
        path = min(tries, key=lambda track: _crowding(track, first, half, cast))
        cast.append(_actor(event, sheets, first, path, look.cycles_per_s))
    return cast


def _actor(
    event: SceneEvent | None, sheets: list[Image], first: int, path: Path, cycles: float
) -> _Actor:
    solid = [int(np.count_nonzero(sheet[..., 3] > _SOLID)) for sheet in sheets]
    return _Actor(event, sheets, solid, first, path, cycles)


def _crowding(track: Path, first: int, half: tuple[float, float], others: list[_Actor]) -> float:
    """Return the mean overlap of a path with the actors so far, 0 when they never meet."""
    total = 0.0
    for other in others:
        start = max(first, other.first_frame)
        end = min(first + len(track.x), other.first_frame + len(other.path.x))
        if start >= end:
            continue
        mine = slice(start - first, end - first)
        theirs = slice(start - other.first_frame, end - other.first_frame)
        wide = half[0] + other.sheets[0].shape[1] / WIDTH / 2
        tall = half[1] + other.sheets[0].shape[0] / HEIGHT / 2
        over_x = np.maximum(0, wide - np.abs(track.x[mine] - other.path.x[theirs]))
        over_y = np.maximum(0, tall - np.abs(track.y[mine] - other.path.y[theirs]))
        total += float(np.sum(over_x * over_y)) / len(track.x)
    return total


def _decoys(options: DemoOptions, index: int) -> list[_Actor]:
    ranges: Difficulty = options.ranges
    rng = generator(options, index, "video", _DECOY_ITEM)
    actors = []
    for _ in range(int(rng.integers(ranges.decoys[0], ranges.decoys[1] + 1))):
        height = round(rng.uniform(0.12, 0.25) * HEIGHT)
        first = int(rng.integers(0, N_FRAMES // 2))
        n_frames = int(rng.integers(2 * FRAME_RATE, N_FRAMES - first + 1))
        half = (height / WIDTH / 2, height / HEIGHT / 2)
        path = object_path(rng, "zigzag", n_frames, half, ranges.pan)
        actors.append(_actor(None, [draw_decoy(rng, height)], first, path, 0.0))
    return actors


def _paint(image: Image, actors: list[_Actor], frame: int, view: NDArray[np.float64]) -> list[Box]:
    """Draw the actors into a frame, back to front, and measure what is seen of each."""
    owner = np.full((HEIGHT, WIDTH), _NOBODY, np.uint8)
    boxes: list[tuple[int, _Pose, tuple[int, int, int, int]]] = []
    for layer, actor in enumerate(actors):
        pose = _pose(actor, frame, view)
        if pose is None:
            continue
        rows, columns, patch = pose.rows, pose.columns, pose.patch
        left_over = cv2.merge([255 - patch[..., 3]] * 3)
        behind = cv2.multiply(image[rows, columns], left_over, scale=1 / 255)
        image[rows, columns] = cv2.add(behind, cv2.cvtColor(patch, cv2.COLOR_BGRA2BGR))
        solid = patch[..., 3] > _SOLID
        owner[rows, columns][solid] = layer
        left, top, width, height = cv2.boundingRect(solid.astype(np.uint8))
        if width:
            x0, y0 = columns.start + left, rows.start + top
            boxes.append((layer, pose, (x0, y0, x0 + width, y0 + height)))
    return [
        _box(event, frame, edges, np.count_nonzero(owner == layer) / pose.whole)
        for layer, pose, edges in boxes
        if (event := actors[layer].event) is not None
    ]


def _box(
    event: SceneEvent, frame: int, edges: tuple[int, int, int, int], visible_share: float
) -> Box:
    return Box(
        frame_index=frame,
        event_id=event.event_id,
        label=event.label,
        x0=edges[0] / WIDTH,
        y0=edges[1] / HEIGHT,
        x1=edges[2] / WIDTH,
        y1=edges[3] / HEIGHT,
        visible_share=min(1.0, visible_share),
    )


@dataclass(frozen=True, eq=False)
class _Pose:
    """An actor's drawing as it stands in one frame."""

    patch: Image
    rows: slice
    columns: slice
    whole: float
    """Solid pixels that it would have if nothing hid it."""


def _pose(actor: _Actor, frame: int, view: NDArray[np.float64]) -> _Pose | None:
    """Turn, scale and place the actor's drawing; None when it is outside the frame."""
    step = frame - actor.first_frame
    phase = int(step / FRAME_RATE * actor.cycles_per_s * PHASES) % len(actor.sheets)
    sheet, path = actor.sheets[phase], actor.path
    height, width = sheet.shape[:2]
    shift_x, shift_y, zoom = (float(part) for part in view)
    scale = float(path.scale[step]) * zoom
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(path.angle[step]), scale)
    middle_x = WIDTH / 2 + zoom * (path.x[step] * WIDTH - WIDTH / 2 - shift_x)
    middle_y = HEIGHT / 2 + zoom * (path.y[step] * HEIGHT - HEIGHT / 2 - shift_y)
    matrix[:, 2] += (middle_x - width / 2, middle_y - height / 2)
    corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1.0]])
    x0, y0 = (max(0, int(edge)) for edge in np.floor(corners.min(axis=1)))
    x1 = min(int(np.ceil(corners[0].max())), WIDTH)
    y1 = min(int(np.ceil(corners[1].max())), HEIGHT)
    if x1 <= x0 or y1 <= y0:
        return None
    matrix[:, 2] -= (x0, y0)
    patch = cv2.warpAffine(sheet, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    whole = actor.solid[phase] * scale**2
    return _Pose(np.asarray(patch, np.uint8), slice(y0, y1), slice(x0, x1), whole)
