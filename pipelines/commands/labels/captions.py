"""What each class is called for CLIP and for CLAP, and from which logit on it counts.

For LLP captions and thresholds are those of VALOR (Lai et al., NeurIPS 2023, and its published
program), two misspelt words of its captions put right. For other classes the caption is a template
around the name, and a threshold is measured: mean plus one standard deviation of the logits in the
seconds of clips without the label.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas import UsageError
from schemas.events import Modality
from schemas.messages import listed, quoted

TEMPLATES: dict[Modality, str] = {
    "audio": "This is a sound of {name}", "visual": "A photo of a {name}."
}  # fmt: skip
"""Captions of classes of which nothing is known but the name."""
COLUMNS = ("label", "visual_caption", "visual_threshold", "audio_caption", "audio_threshold")
MOST_CHARACTERS = 200
"""Characters of a caption."""


@dataclass(frozen=True, kw_only=True)
class Caption:
    """How a class is described in one modality."""

    text: str
    threshold: float | None = None
    """Logit from which on it counts; None: it is measured."""


Captions = dict[Modality, list[Caption]]
"""Captions of all classes in order, by modality."""

_LLP: dict[str, tuple[str, float, str, float]] = {
    "Speech": ("people talking", 20, "speech", 0),
    "Car": ("a car", 15, "car", 0),
    "Cheering": ("people cheering", 18, "cheering", 1),
    "Dog": ("a dog", 14, "dog", 4),
    "Cat": ("a cat", 15, "cat", 6),
    "Frying_(food)": ("frying food", 18, "frying (food)", -2),
    "Basketball_bounce": ("people playing basketball", 18, "basketball bounce", 4),
    "Fire_alarm": ("a fire alarm", 15, "fire alarm", 4),
    "Chainsaw": ("a chainsaw", 15, "chainsaw", 2),
    "Cello": ("a cello", 15, "cello", 2),
    "Banjo": ("a banjo", 15, "banjo", 2),
    "Singing": ("people singing", 18, "singing", 1),
    "Chicken_rooster": ("a chicken or a rooster", 15, "chicken, rooster", 2),
    "Violin_fiddle": ("a violin", 15, "violin fiddle", 3),
    "Vacuum_cleaner": ("a vacuum cleaner", 15, "vacuum cleaner", 0),
    "Baby_laughter": ("a laughing baby", 15, "baby laughter", 2),
    "Accordion": ("an accordion", 15, "accordion", 2),
    "Lawn_mower": ("a lawnmower", 15, "lawn mower", 2),
    "Motorcycle": ("a motorcycle", 15, "motorcycle", 0),
    "Helicopter": ("a helicopter", 16, "helicopter", 2),
    "Acoustic_guitar": ("a acoustic guitar", 14, "acoustic guitar", -1),
    "Telephone_bell_ringing": ("a ringing telephone", 15, "telephone bell ringing", 2),
    "Baby_cry_infant_cry": ("a crying baby", 15, "baby cry, infant cry", 3),
    "Blender": ("a blender", 15, "blender", 3),
    "Clapping": ("hands clapping", 18, "clapping", 0),
}
"""Class to what a photo shows and its threshold, what is heard and its threshold."""


def captions_of(names: Sequence[str], *, pretrained: bool) -> Captions:
    """Return the captions of a store's classes.

    Thresholds that are known hold for published weights; for others they are measured.
    """
    found: Captions = {"audio": [], "visual": []}
    for name in names:
        if name in _LLP and set(_LLP) == set(names):
            seen, seen_from, heard, heard_from = _LLP[name]
            made = f"A photo of {seen}.", f"This is a sound of {heard}"
            known = (seen_from, heard_from) if pretrained else (None, None)
        else:
            plain = name.replace("_", " ").lower()
            made = TEMPLATES["visual"].format(name=plain), TEMPLATES["audio"].format(name=plain)
            known = (None, None)
        found["visual"].append(Caption(text=made[0], threshold=known[0]))
        found["audio"].append(Caption(text=made[1], threshold=known[1]))
    return found


def read_captions(path: Path, names: Sequence[str]) -> Captions:
    """Read the captions of a store's classes from a CSV file; `UsageError` for an unfit one."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--captions {path} cannot be read ({error})") from None
    if not rows or set(COLUMNS) - rows[0].keys():
        raise UsageError(f"--captions {path} has not the columns {', '.join(COLUMNS)}")
    by_label = {row["label"]: row for row in rows}
    lacking = [name for name in names if name not in by_label]
    strange = [label for label in by_label if label not in names]
    if lacking or strange:
        what = f"lacks {listed(lacking, most=5)}" if lacking else f"has {quoted(strange[0])}"
        raise UsageError(
            f"--captions {path} {what}, and the classes of the store are {listed(names, most=10)}"
        )
    return {
        modality: [_caption(path, by_label[name], modality) for name in names]
        for modality in TEMPLATES
    }


def _caption(path: Path, row: dict[str, str | None], modality: Modality) -> Caption:
    text, number = row[f"{modality}_caption"] or "", row[f"{modality}_threshold"] or ""
    if not 0 < len(text) <= MOST_CHARACTERS:
        raise UsageError(
            f"--captions {path} has a {modality}_caption of {len(text)} characters for "
            f"{row['label']}; a caption has 1 to {MOST_CHARACTERS}"
        )
    try:
        threshold = float(number) if number.strip() else None
    except ValueError:
        threshold = math.nan
    if threshold is not None and not math.isfinite(threshold):
        raise UsageError(
            f"--captions {path} has the {modality}_threshold {quoted(number)} for {row['label']}; "
            "it is a number, or empty to be measured"
        )
    return Caption(text=text, threshold=threshold)
