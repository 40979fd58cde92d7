"""`beam run labels`: its options."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Options:
    """Score every second of a store's clips against their weak labels, as labels to train on.

    Example: beam run features --dataset llp --media store/ --out out/llp --extractors
    vggish,resnet152,r2plus1d,clip,clap, then beam run labels --out out/llp
    What is seen is scored from the stored feature clip, what is heard from clap; both are compared
    with a caption of the class. A score is the sigmoid of the logit over the class's threshold, so
    0.5 is the decision. Classes that a clip has no weak label of score 0. The table pseudo_labels
    is replaced whole.
    """

    out: str
    """Folder or URI of the feature store."""
    captions: str | None = None
    """CSV with a line for each class: label, visual_caption, visual_threshold, audio_caption,
    audio_threshold; thresholds in logits, empty for one that is measured. Left out: those of VALOR
    for LLP, a template and measured thresholds for other data sets."""
    weights_dir: str | None = None
    """Folder with weight files, for machines without network."""


def run(options: Options, rest: list[str]) -> int:
    """Score all clips and replace the table; print how much was found."""
    from pipelines.commands.labels.scoring import score_store  # with Beam and the nets

    return score_store(options)
