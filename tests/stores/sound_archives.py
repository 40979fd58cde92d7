"""Made-up recordings in the form of ESC-50 and UrbanSound8K: audio, table, folds by recording."""

from pathlib import Path

import numpy as np
import soundfile

from tests.models.recordings import KINDS, RATE, recording

ESC_HEADER = "filename,fold,target,category,esc10,src_file,take"
URBAN_HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"


def write_esc(folder: Path, clips: int, seconds: float = 5.0, *, seed: int = 0, kinds: int = 10,
              folds: int = 5) -> Path:  # fmt: skip
    """Write `clips` recordings of each of the first kinds, as the archive of ESC-50 has them.

    Every clip is a recording of its own; they are dealt to the folds in turn.
    """
    random = np.random.default_rng(seed)
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    lines = [ESC_HEADER]
    for target, kind in enumerate(list(KINDS)[:kinds]):
        for index in range(clips):
            fold, source = index % folds + 1, 1000 * target + index
            name = f"{fold}-{source}-A-{target}.wav"
            soundfile.write(folder / "audio" / name, recording(kind, seconds, random), RATE)
            lines.append(f"{name},{fold},{target},{kind},True,{source},A")
    (folder / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_urbansound(folder: Path, clips: int, seconds: float = 1.0, *, kinds: int = 2) -> Path:
    """Write `clips` recordings of each kind in ten folders, as the archive of UrbanSound8K has."""
    random = np.random.default_rng(0)
    (folder / "metadata").mkdir(parents=True)
    lines = [URBAN_HEADER]
    for number, kind in enumerate(list(KINDS)[:kinds]):
        for index in range(clips):
            fold, source = index % 10 + 1, 1000 * number + index
            name = f"{source}-{number}-0-0.wav"
            (folder / "audio" / f"fold{fold}").mkdir(parents=True, exist_ok=True)
            path = folder / "audio" / f"fold{fold}" / name
            soundfile.write(path, recording(kind, seconds, random), RATE)
            lines.append(f"{name},{source},0.0,{seconds},1,{fold},{number},{kind}")
    (folder / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines) + "\n")
    return folder
