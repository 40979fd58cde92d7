"""The demo world: generated clips with audio and video whose truth is known exactly.

`generate(DemoOptions(...), folder)` leaves, beside one `<clip_key>.mp4` per clip:

| file | content |
|---|---|
| `demo_clips.csv` | tab separated `filename split event_labels`; the weak labels, comma separated |
| `demo_audio_events.csv` | tab separated `filename onset offset event_labels`: what is heard, in whole seconds |
| `demo_visual_events.csv` | the same for what is seen |
| `demo_classes.txt` | the class names in order, one a line |
| `demo_boxes.parquet` | one row per object and frame: box in shares of the frame, share that is visible |
| `demo_sources/` | clean waveform of every event as WAV, when `sources` is asked for |
| `demo.json` | options, version, ffmpeg, sha256 of every file; written last |

`docs/demo.md` describes the world and what its difficulties mean.
"""  # noqa: E501

from pipelines.demo.classes import CLASSES, DemoClass
from pipelines.demo.figure import draw_clip
from pipelines.demo.options import DEMO_VERSION, DemoOptions, demo_folder
from pipelines.demo.world import generate

__all__ = [
    "CLASSES",
    "DEMO_VERSION",
    "DemoClass",
    "DemoOptions",
    "demo_folder",
    "draw_clip",
    "generate",
]
