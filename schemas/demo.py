"""The files of a demo world: their names, and the frame rate that frame numbers count in.

Jobs write them, readers of annotations and models read them.
"""

CLIPS_FILE = "demo_clips.csv"
"""Tab separated `filename split event_labels`: the weak labels, comma separated."""
AUDIO_FILE = "demo_audio_events.csv"
"""Tab separated `filename onset offset event_labels`: what is heard, in whole seconds."""
VISUAL_FILE = "demo_visual_events.csv"
"""The same for what is seen."""
CLASSES_FILE = "demo_classes.txt"
"""The class names in order, one per line."""
BOXES_FILE = "demo_boxes.parquet"
"""One row per object and frame: its box and the share of it that is visible."""
RECORD_FILE = "demo.json"
"""Options, version, ffmpeg, sha256 of every file; written last."""
SOURCES_FOLDER = "demo_sources"
"""The clean waveform of every event as WAV, where it was asked for."""

FRAME_RATE = 25
"""Frames per second of the clips; `frame_index` of the boxes counts in it."""
