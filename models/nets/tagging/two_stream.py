"""Two-stream multiple instance learning over boxes and audio segments, and its baselines.

Paper: Parekh, Essid, Ozerov, Duong, Perez, Richard, "Weakly Supervised Representation Learning for
    Unsynchronized Audio-Visual Events", 2018, https://arxiv.org/abs/1804.07345, rows (a) to (e) of
    its table 1.
Authors' code: none published.
Differences: see `CARD.differences`.

Letters: B clips, P instances, C classes, D hidden width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Dropout, Rate, Size
from models.contract.card import Departure, Experiment, ModelCard, PaperRow
from models.contract.config import TaggingConfig
from models.data.source import ClipSource
from models.nets.losses import clip_loss, label_weights, with_total
from models.nets.small_sets import settings_for_few
from models.nets.standardise import Standardised
from models.nets.tagging import mil
from models.tasks.sound_events import Timeline
from models.tasks.tagging import Tagging
from models.training.method import NetMethod
from models.training.state import Training
from schemas.features import SEGMENT_HOP_S, SEGMENT_S

STREAMS: Mapping[str, tuple[str, ...]] = {
    "av": ("segments", "proposals"),
    "audio": ("segments",),
    "video": ("proposals",),
    "ncp": ("components",),
    "ncp-audio": ("components", "segments"),
    "ncp-video": ("components", "proposals"),
    "ncp-av": ("components", "segments", "proposals"),
}
"""What a model scores, by name: tables of instances, each with a scoring network of its own."""

WIDTHS = {"segments": 128, "proposals": 2048, "components": 128}
"""Width of an instance's feature."""

SMALL_SET = 1000
"""With fewer training clips than this, and none of `TRAINING` given, settings are those for small
sets."""
SMALL_SETTINGS: Mapping[str, Any] = {"learning_rate": 1e-3, "batch_size": 8, "epochs": 60}
"""Those settings: more and larger steps. At the paper's setting the weights of so few clips hardly
move."""
TRAINING = ("weight_decay", "dropout", "decay_factor", "schedule", *SMALL_SETTINGS)
"""Settings of which one that is not the default says that the user has chosen."""
STATISTICS_CLIPS = 128
"""Training clips that mean and standard deviation of a feature are taken from, at most."""


@dataclass(frozen=True, kw_only=True)
class Config(TaggingConfig):
    """Two-stream scoring of boxes and audio segments."""

    small: Literal["auto", "yes", "no"] = "auto"
    """Settings for few training clips: auto takes them below 1,000 training clips when no setting
    of the training is given, yes takes them where none is given, no never."""
    epochs: Size = 25
    batch_size: Size = 24
    learning_rate: Rate = 1e-5
    decay_factor: Rate = 1.0
    streams: Literal["av", "audio", "video", "ncp", "ncp-audio", "ncp-video", "ncp-av"] = "av"
    """Which instances are scored: audio segments (audio), boxes (video), components of the
    audio (ncp)."""
    pooling: Literal["two-stream", "one-stream", "wsddn"] = "two-stream"
    """How instances become a clip: class scores weighted by a softmax over instances, log-sum-exp
    of one score, or Bilen & Vedaldi's two softmaxes."""
    loss: Literal["hinge", "bce"] = "hinge"
    """Multi-label hinge, or binary cross-entropy of the sigmoid of the score; wsddn always takes
    the cross-entropy of its own probability, summed over classes."""
    hidden: Size = 512
    """Width of the layer between an instance's feature and its scores."""
    dropout: Dropout = 0.5
    """On that layer."""
    sharpness: Rate = 1.0
    """r of log-sum-exp."""
    normalise: bool = True
    """Divide the class scores of each modality by their length before they are added."""
    standardise: bool = True
    """Shift and scale each value of a feature to mean 0 and std 1 over training clips."""


ConfigT = TypeVar("ConfigT", bound=Config)


class Scorer(Standardised):
    """Scoring network of one kind of instances: a hidden layer, then one or two linear streams."""

    def __init__(self, width: int, config: Config) -> None:
        super().__init__(width)
        self.pooling, self.sharpness = config.pooling, config.sharpness
        self.embed = nn.Sequential(
            nn.Linear(width, config.hidden), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.classify = nn.Linear(config.hidden, config.classes)
        if config.pooling != "one-stream":  # a bias would cancel in the softmax over instances
            self.locate = nn.Linear(config.hidden, config.classes, bias=False)

    def fit(self, instances: Tensor) -> None:
        """Take mean and standard deviation of each value from instances [n, width]."""
        self.set_statistics(instances.mean(dim=0), instances.std(dim=0).clamp_min(1e-3))

    def forward(self, instances: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map [B, P, width], bool [B, P] to scores of clips [B, C] and of instances [B, P, C].

        Those of instances with the weights of instances, then without.
        """
        hidden = self.embed(self.standardise(instances))
        classify = self.classify(hidden)
        if self.pooling == "one-stream":
            scores = classify * present[:, :, None]
            return mil.log_sum_exp(scores, present, self.sharpness), scores, scores
        rule = mil.wsddn if self.pooling == "wsddn" else mil.two_stream
        scores = rule(classify, self.locate(hidden), present)
        return scores.sum(dim=1), scores, classify


class Model(nn.Module):
    """One scorer per kind of instances; their clip scores, normalised, are added."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.scorers = nn.ModuleDict(
            {name: Scorer(WIDTHS[name], config) for name in STREAMS[config.streams]}
        )

    def forward(self, batch: Batch) -> Outputs:
        """Map tables of instances [B, P, width] to `clip` [B, C].

        `extra` holds the clip's score before the sigmoid as `score` [B, C], the scores of the
        instances under the name of their table, [B, P, C], those of components without their
        weights as `component_classes`, and where audio segments are scored
        `heard` [B, P, C], 0 to 1: the probability of the clip, scaled by those of its segments.
        """
        extra, total = {}, None
        for name, scorer in self.scorers.items():
            clip, extra[name], classes = scorer(batch.features[name], batch.present[name])
            if name == "components":
                extra["component_classes"] = classes
            clip = mil.l2_normalised(clip) if self.normalised else clip
            total = clip if total is None else total + clip
        score = cast(Tensor, total)
        probability = score.clamp(0.0, 1.0) if self.config.pooling == "wsddn" else score.sigmoid()
        if "segments" in extra:
            there = batch.present["segments"]
            extra["heard"] = mil.over_time(probability, extra["segments"], there)
        return Outputs(clip=probability, extra={"score": score, **extra})

    @property
    def normalised(self) -> bool:
        """Whether clip scores are divided by their length; those of wsddn are probabilities."""
        return self.config.normalise and self.config.pooling != "wsddn"


class Loss(nn.Module):
    """Hinge or cross-entropy of the clip's score."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return term `clip` and `total`."""
        score = outputs.extra["score"]
        if self.config.pooling == "wsddn":
            total = clip_loss(outputs.clip, batch.labels, "sum", batch.quality)
            value = total / len(score)
        elif self.config.loss == "hinge":
            value = mil.hinge(score, batch.labels, batch.quality)
        else:
            quality = batch.quality
            weight = None if quality is None else label_weights(batch.labels, quality)
            value = F.binary_cross_entropy_with_logits(score, batch.labels, weight)
        return with_total({"clip": value})


def adapt(config: ConfigT, data: ClipSource) -> ConfigT:
    """Return the settings with those for small sets, when there are few training clips."""
    return settings_for_few(
        config, data, below=SMALL_SET, settings=SMALL_SETTINGS, chosen_by=TRAINING,
        otherwise="the usual ones",
    )  # fmt: skip


def prepare(training: Training) -> None:
    """Fit mean and standard deviation of each value of a feature on training clips."""
    model, data = training.model, training.data
    assert isinstance(model, Model)
    if not model.config.standardise:
        return
    batch = data.batch(data.rows("train")[:STATISTICS_CLIPS])
    for name, scorer in model.scorers.items():
        instances = batch.features[name][batch.present[name]]
        if len(instances) > 1:
            cast(Scorer, scorer).fit(instances)


def needs(config: Config) -> tuple[str, ...]:
    """Return the tables of instances that these settings read."""
    return STREAMS[config.streams]


PAREKH = "Parekh et al. 2018"
TIMELINE = Timeline(name="heard", hop_s=SEGMENT_HOP_S, window_s=SEGMENT_S, feature="segments")
"""The scores of the audio segments over time."""


def table_row(
    name: str, row: str, f1: float, precision: float, recall: float, **settings: str
) -> Experiment:
    """Return the experiment behind a row of table 1, scores in per cent."""
    numbers = {"micro_f1": f1, "micro_precision": precision, "micro_recall": recall}
    rows = (PaperRow(paper=PAREKH, table="1", row=row, numbers=numbers),)
    return Experiment(name=name, settings=settings, rows=rows)


SEES = {"streams": ("av", "video", "ncp-video", "ncp-av")}
"""Settings under which boxes are scored."""
STORED_BOXES = (
    Departure(
        says="trunk: boxes have stored features of a frozen ResNet-152, where the paper fine-tunes "
        "the layers of CaffeNet on RoI-pooled maps",
        settings=SEES,
    ),
    Departure(
        says="edges: EdgeBoxes work on the gradient of the image, where the paper's are structured "
        "edges",
        settings=SEES,
        recipe={"proposals_edges": ("gradient",)},
    ),
)
"""What makes a system over boxes another one than the paper's."""
DEPARTURES = (
    *STORED_BOXES,
    Departure(
        says="regions: one scale and no objectness score, where the paper's WSDDN has five scales "
        "and weighs boxes",
        settings={"pooling": ("wsddn",)},
    ),
)
OURS = (
    "epochs", "batch_size", "learning_rate", "decay_every", "decay_factor", "schedule",
    "weight_decay", "keep", "loss", "hidden", "dropout", "sharpness", "normalise", "standardise",
)  # fmt: skip
"""Settings that the openly readable text does not state."""

CARD = ModelCard(
    name="two_stream",
    title="Weakly Supervised Representation Learning for Unsynchronized Audio-Visual Events",
    paper="Parekh, Essid, Ozerov, Duong, Perez, Richard, CVPR workshops 2018",
    url="https://arxiv.org/abs/1804.07345",
    code="",
    needs=("segments", "proposals"),
    dataset="dcase2017",
    task=Tagging(
        modalities=("audio", "visual"), selection_metric="micro_f1", timeline=TIMELINE
    ),
    experiments=(
        table_row("two_stream", "(a) Proposed AV Two Stream", 64.2, 59.7, 69.4),
        table_row("two_stream-audio", "(b) TS Audio-Only", 57.3, 53.2, 62.0, streams="audio"),
        table_row("two_stream-video", "(c) TS Video-Only", 47.3, 48.5, 46.1, streams="video"),
        table_row(
            "two_stream-wsddn", "(d) TS Video-Only WSDN-Type", 48.8, 47.6, 50.1,
            streams="video", pooling="wsddn",
        ),
        table_row("two_stream-one", "(e) AV One Stream", 55.3, 50.4, 61.2, pooling="one-stream"),
    ),
    differences=(
        "Boxes carry ResNet-152 features from the feature store, not fine-tuned CaffeNet layers; "
        "one hidden layer of 512 with ReLU and dropout stands between features and streams, as "
        "the paper's new layer does for the audio.",
        "Edges under EdgeBoxes come from the image gradient unless the model file of structured "
        "edges was there when the store was made.",
        "The paper does not give loss, threshold, optimiser or number of boxes in what is openly "
        "readable: hinge on the summed scores, one threshold tuned for micro F1 on the validation "
        "clips, Adam at 1e-5 for 25 epochs, 24 clips a step and 10 boxes a second are ours.",
        "The single modalities keep the l2 normalisation. Features are standardised on training "
        "clips.",
        "Log-sum-exp has r = 1 and divides by the number of instances.",
        "The WSDDN-type system uses one scale and does not weigh boxes by their objectness.",
        "With fewer than 1,000 training clips, and --small auto, the rate is 1e-3, batches are "
        "of 8 clips and epochs 60, because at 1e-5 the weights hardly move.",
    ),
    departures=DEPARTURES,
    ours=OURS,
)  # fmt: skip

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, needs=needs, adapt=adapt, prepare=prepare
)
