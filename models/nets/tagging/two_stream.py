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
from typing import Any, Literal, NamedTuple, TypeVar, cast

import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Dropout, Rate, Size, Weight
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
from schemas import UsageError
from schemas.features import BOX_CONTEXTS, BOXES, SEGMENT_HOP_S, SEGMENT_S

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

OF_BOXES = ("context", "box_scores", "spatial")
"""Settings that only boxes have."""

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
    context: Literal["none", "contrast"] = "none"
    """contrast: a box is located by how far its score is above that of its surroundings (Kantorov
    et al., ECCV 2016), so that a whole object wins over its part; the store is of
    --proposals-context 1.8x."""
    temperature: Rate = 1.0
    """Divides the location scores before their softmax; WSDDN's authors take 2."""
    box_scores: Weight = 0.0
    """The feature of a box is multiplied by 1 plus this times its objectness; WSDDN's authors take
    10."""
    spatial: Weight = 0.0
    """Weight of WSDDN's spatial regulariser: boxes that overlap the best one shall look like it;
    its authors take 1e-4."""

    def __post_init__(self) -> None:
        super().__post_init__()
        asked = [name for name in OF_BOXES if getattr(self, name) != getattr(type(self), name)]
        if asked and "proposals" not in STREAMS[self.streams]:
            raise UsageError(
                f"{asked[0]} {getattr(self, asked[0])} is a setting of boxes, and streams "
                f"{self.streams} scores none; take it away, or --streams av"
            )


ConfigT = TypeVar("ConfigT", bound=Config)


class Scored(NamedTuple):
    """What a scorer says."""

    clip: Tensor
    """Scores of clips, [B, C]."""
    instances: Tensor
    """Those of instances with their weights, [B, P, C]."""
    classify: Tensor
    """The same without, [B, P, C]."""
    hidden: Tensor
    """What both streams see of an instance, [B, P, D]."""


class Scorer(Standardised):
    """Scoring network of one kind of instances: a hidden layer, then one or two linear streams."""

    def __init__(self, width: int, config: Config) -> None:
        super().__init__(width)
        self.pooling, self.sharpness = config.pooling, config.sharpness
        self.temperature = config.temperature
        self.embed = nn.Sequential(
            nn.Linear(width, config.hidden), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.classify = nn.Linear(config.hidden, config.classes)
        if config.pooling != "one-stream":  # a bias would cancel in the softmax over instances
            self.locate = nn.Linear(config.hidden, config.classes, bias=False)

    def fit(self, instances: Tensor) -> None:
        """Take mean and standard deviation of each value from instances [n, width]."""
        self.set_statistics(instances.mean(dim=0), instances.std(dim=0).clamp_min(1e-3))

    def forward(
        self, instances: Tensor, present: Tensor, around: Tensor | None = None,
        factor: Tensor | float = 1.0,
    ) -> Scored:  # fmt: skip
        """Score instances [B, P, width], of which there are those of bool [B, P].

        `around` [B, P, width] are the features of their surroundings; `factor` [B, P, 1] is what
        features are multiplied by.
        """
        hidden = self.embed(self.standardise(instances) * factor)
        classify = self.classify(hidden)
        if self.pooling == "one-stream":
            scores = classify * present[:, :, None]
            clip = mil.log_sum_exp(scores, present, self.sharpness)
            return Scored(clip, scores, classify, hidden)
        locate = self.locate(hidden)
        if around is not None:
            locate = locate - self.locate(self.embed(self.standardise(around) * factor))
        rule = mil.wsddn if self.pooling == "wsddn" else mil.two_stream
        scores = rule(classify, locate / self.temperature, present)
        return Scored(scores.sum(dim=1), scores, classify, hidden)


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
            more = self._of_boxes(batch) if name == "proposals" else {}
            said: Scored = scorer(batch.features[name], batch.present[name], **more)
            extra[name] = said.instances
            if name == "components":
                extra["component_classes"] = said.classify
            if name == "proposals" and self.config.spatial:
                extra["box_hidden"] = said.hidden
            clip = mil.l2_normalised(said.clip) if self.normalised else said.clip
            total = clip if total is None else total + clip
        score = cast(Tensor, total)
        probability = score.clamp(0.0, 1.0) if self.config.pooling == "wsddn" else score.sigmoid()
        if "segments" in extra:
            there = batch.present["segments"]
            extra["heard"] = mil.over_time(probability, extra["segments"], there)
        return Outputs(clip=probability, extra={"score": score, **extra})

    def _of_boxes(self, batch: Batch) -> dict[str, Tensor]:
        """Return what the settings have boxes scored by besides their features."""
        more = {}
        if self.config.context == "contrast":
            more["around"] = batch.features[BOX_CONTEXTS]
        if self.config.box_scores:
            more["factor"] = 1.0 + self.config.box_scores * batch.features[BOXES][:, :, -1:]
        return more

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
        """Return term `clip`, `spatial` where it has a weight, and `total`."""
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
        if not self.config.spatial:
            return with_total({"clip": value})
        scores, there = outputs.extra["proposals"], batch.present["proposals"]
        unlike = mil.spatial_regulariser(
            outputs.extra["box_hidden"], batch.features[BOXES], scores, batch.labels, there
        )
        return with_total({"clip": value, "spatial": self.config.spatial * unlike / len(score)})


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
    """Return the tables of instances that these settings read, and what else of the boxes."""
    contexts = (BOX_CONTEXTS,) if config.context != "none" else ()
    boxes = (BOXES,) if config.box_scores or config.spatial else ()
    return (*STREAMS[config.streams], *contexts, *boxes)


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


WSDDN: Mapping[str, Any] = {
    "streams": "video", "pooling": "wsddn", "temperature": 2.0, "box_scores": 10.0,
    "spatial": 1e-4, "standardise": False, "epochs": 20, "batch_size": 1, "learning_rate": 1e-5,
    "decay_every": 10, "decay_factor": 0.1, "weight_decay": 5e-4,
}  # fmt: skip
"""What its authors' program does, on stored features."""
WSDDN_ROW = PaperRow(
    paper="Bilen & Vedaldi 2016",
    table="none",
    row="WSDDN (no number openly published on these clips)",
    numbers={},
)

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
        Experiment(
            name="two_stream-context", settings={"context": "contrast"},
            rows=(PaperRow(paper="no paper", table="none", row="(a) and context", numbers={}),),
        ),
        Experiment(name="wsddn", settings=WSDDN, rows=(WSDDN_ROW,)),
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
        "The WSDDN-type system has one scale and does not weigh boxes by their objectness; `wsddn` "
        "weighs them, with the temperature and the spatial regulariser of its authors' program, "
        "whose steps are of SGD with momentum where ours are Adam's.",
        "`two_stream-context` is ours: boxes are located against their surroundings.",
        "With fewer than 1,000 training clips, and --small auto, the rate is 1e-3, batches are "
        "of 8 clips and epochs 60, because at 1e-5 the weights hardly move.",
    ),
    departures=DEPARTURES,
    ours=OURS,
)  # fmt: skip

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, needs=needs, adapt=adapt, prepare=prepare
)
