"""Changes after which the code does the same: no test can notice them, and none is asked to."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Equivalent:
    """One such change: what a line of a file has before and after it, and why it is the same."""

    path: str
    line: str
    """The line, without the spaces around it."""
    before: str
    after: str
    reason: str


EQUIVALENT: Sequence[Equivalent] = (
    Equivalent(
        "schemas/messages.py", "close = difflib.get_close_matches(asked, spelled, n=1)", "1", "2",
        "the matches come best first, and only the first is taken",
    ),
    Equivalent(
        "schemas/media_names.py",
        'return stem if stem.isprintable() else "".join(map(_escaped, stem))',
        "stem.isprintable()", "False",
        "no printable character is escaped: the test only saves time",
    ),
    Equivalent(
        "models/tasks/parsing.py",
        "scores = tagging_scores(predictions.clip, "
        "data.labels[predictions.rows].cpu().numpy() > 0.5)",
        "data.labels[predictions.rows].cpu().numpy() > 0.5",
        "(data.labels[predictions.rows].cpu().numpy() >= 0.5)",
        "labels are 0 or 1",
    ),
    Equivalent(
        "models/tasks/thresholds.py", "f1 = 2 * (tp + hits) / np.maximum(below, 1)", "1", "2",
        "where `below` is 1 there is no hit, and 0 / 2 is 0 / 1",
    ),
    Equivalent(
        "models/tasks/thresholds.py",
        "return 2 * hits / max(1, int(predicted.sum()) + int(true.sum()) + 2 * tp + fp + fn)",
        "1", "2", "where the sum is 1 there is no hit, and 0 / 2 is 0 / 1",
    ),
    Equivalent(
        "models/tasks/event_scores.py",
        "return np.where(total > 0, 2 * hits / np.maximum(total, 1), np.nan)", "1", "2",
        "where `total` is 1 there is no hit, and 0 / 2 is 0 / 1",
    ),
    Equivalent(
        "models/tasks/tagging.py",
        "f1 = np.where(below > 0, 2 * (predicted & labels).sum(axis=0) / np.maximum(below, 1), "
        "np.nan)",
        "1", "2", "where `below` is 1 there is no hit, and 0 / 2 is 0 / 1",
    ),
)  # fmt: skip
