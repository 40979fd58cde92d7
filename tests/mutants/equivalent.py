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
        "models/tasks/class_scores.py",
        "f1 = np.where(below > 0, 2 * (predicted & labels).sum(axis=0) / np.maximum(below, 1), "
        "np.nan)",
        "1", "2", "where `below` is 1 there is no hit, and 0 / 2 is 0 / 1",
    ),
    Equivalent(
        "models/tasks/ontology_scores.py",
        "scale = apart[apart > level].sum() / max(1, len(apart))", "1", "2",
        "one class has no pair, so the sum is 0; two classes have two pairs",
    ),
    Equivalent(
        "models/tasks/event_scores.py",
        "classes = 1 + int(max(true.label.max(initial=0), found.label.max(initial=0)))", "0", "1",
        "any number above all labels tells clips and classes apart",
    ),
    Equivalent(
        "models/tasks/psds.py", "meets = shared > 0", "shared > 0", "(shared >= 0)",
        "pairs that share no time add nothing to any sum",
    ),
    Equivalent(
        "models/tasks/figures.py", "ax.set_xlim(0, len(truth))", "0", "1",
        "the ticks begin at 0 and widen the axis",
    ),
    Equivalent(
        "models/tasks/parsing.py",
        "columns: ClassVar[Mapping[str, str]] = dict(zip(AVVP_NAMES, HEADS, strict=True))",
        "True", "False", "both are constants of ten: `strict` guards against bugs",
    ),
    Equivalent(
        "models/tasks/parsing.py",
        "np.concatenate(column) for column in zip(*parts, strict=True)",
        "True", "False", "every part has five columns: `strict` guards against bugs",
    ),
    Equivalent(
        "models/tasks/parsing.py",
        "for second, gate in zip(seconds, gates(outputs, config.gate), strict=True):",
        "True", "False", "both are pairs: `strict` guards against bugs",
    ),
    Equivalent(
        "models/tasks/parsing.py",
        "for label, value in zip(data.vocabulary.names, scores[name], strict=True)",
        "True", "False", "both have one entry per class: `strict` guards against bugs",
    ),
    Equivalent(
        "models/tasks/timelines.py",
        "by_key = dict(zip(keys, scores, strict=True))",
        "True", "False", "a score is made for each key: `strict` guards against bugs",
    ),
    Equivalent(
        "models/tasks/timelines.py",
        "return f_score(*(np.concatenate(part) for part in zip(*pairs, strict=True)))",
        "True", "False", "every pair has two: `strict` guards against bugs",
    ),
    Equivalent(
        "models/tasks/class_scores.py",
        "[expected_calibration_error(*pair) for pair in zip(said.T, labels.T, strict=True)]",
        "True", "False", "both have one row per class: `strict` guards against bugs",
    ),
    Equivalent(
        "models/tasks/class_scores.py",
        "return {label: finite(value) for label, value in zip(names, values, strict=True)}",
        "True", "False", "both have one entry per class: `strict` guards against bugs",
    ),
)  # fmt: skip
