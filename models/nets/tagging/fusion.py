"""Fusion of audio and visual scores: average, regression, MLP, attention and its ablations.

Paper: Fayek, Kumar, "Large Scale Audiovisual Learning of Sounds with Weakly Labeled Data",
    IJCAI 2020, https://arxiv.org/abs/2006.01595, sections 3.3, 3.4 and 4.2
Authors' code: none published.
Differences: see `CARD.differences`.

Letters besides those of `models.contract.batch`: U units.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import AtLeast, Dropout, Rate, Size, Weight, ZeroOr
from models.contract.card import Experiment, ModelCard, PaperRow
from models.contract.config import TaggingConfig
from models.data.scored import ScoredClips
from models.data.source import ClipSource
from models.nets.losses import clip_loss, with_total
from models.nets.standardise import Standardised
from models.nets.tagging import fusion_inputs
from models.tasks.tagging import Tagging
from models.training.method import NetMethod
from models.training.state import Training

SIDES = ("audio", "visual")


@dataclass(frozen=True, kw_only=True)
class Config(TaggingConfig):
    """Fusion of the scores of an audio and of a visual model on AudioSet."""

    epochs: Size = 100
    """Number of epochs."""
    batch_size: Size = 256
    """Clips per forward pass, in each process."""
    learning_rate: Rate = 1e-3
    """Adam's learning rate; the paper chooses it by validation and does not print it."""
    decay_factor: Rate = 1.0
    """Factor of each decay; 1 keeps the learning rate."""
    audio_run: str = ""
    """Run folder whose audio scores are fused; left out, `fayek_audio` is trained into
    RUN/audio."""
    visual_run: str = ""
    """Run folder whose visual scores are fused; left out, `fayek_visual` is trained into
    RUN/visual."""
    single_epochs: Annotated[int, AtLeast(0)] = 0
    """Epochs of the two models when they are trained here; 0 takes their own."""
    cross_fit: Annotated[int, ZeroOr(2)] = 0
    """Scores of training clips come from models that have not seen them: this number per modality
    is trained on parts of the clips. 0 takes the scores of the full model, which has, as the paper
    does; on small sets these are too good to learn from."""
    method: Literal["attention", "mlp", "regression", "average"] = "attention"
    """How the scores are fused."""
    attend: Literal["both", "self", "cross"] = "both"
    """What the weight of a modality comes from: both modalities' scores, its own, the other's."""
    transforms: Literal["network", "identity"] = "network"
    """What n_a and n_v, before the weighted sum, are."""
    output: Literal["network", "identity"] = "network"
    """What n_av, behind the weighted sum, is; a sigmoid follows in either case."""
    fused: Literal["classes", "units"] = "classes"
    """What is weighted and summed: a value per class (n_a and n_v end in a linear layer), or the
    512 units of n_a and n_v themselves. The paper says both: 527 weights, and 512 units."""
    units: Size = 512
    """Width of the hidden layers."""
    dropout: Dropout = 0.5
    """Behind the hidden layer of the MLP and of the attention."""
    penalty: Weight = 1e-5
    """L2 penalty on the weights of the regression, lambda."""

    def __post_init__(self) -> None:
        super().__post_init__()
        identity = "identity" in (self.transforms, self.output)
        if self.fused == "units" and identity:
            raise ValueError("fused units need transforms and output to be networks")


class ScoreNorm(Standardised):
    """Scores minus their mean over their standard deviation, of training clips, class by class."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)

    def forward(self, scores: Tensor, present: Tensor) -> Tensor:
        """Standardise scores [B, C]; zero where the clip lacks the modality, bool [B]."""
        return self.standardise(scores) * present[:, None]

    def fit(self, scores: Iterable[Tensor]) -> None:
        """Take mean and std from scores [n, C] of some clips at a time.

        A class that never varies keeps its scale. Source of the sums of parts: Chan, Golub,
        LeVeque, "Algorithms for computing the sample variance", The American Statistician 1983.
        """
        count = 0
        mean = squares = torch.zeros(len(self.mean), dtype=torch.float64)
        for part in scores:
            variance, own = torch.var_mean(part.double(), dim=0, correction=0)
            total, apart = count + len(part), own - mean
            squares = squares + len(part) * (variance + apart.square() * count / total)
            mean, count = mean + apart * len(part) / total, total
        std = (squares / max(1, count)).sqrt()
        self.set_statistics(mean, torch.where(std > 1e-8, std, 1.0))


def hidden(inputs: int, config: Config) -> list[nn.Module]:
    """Return the layers to the units of the MLP and of the attention: linear, BN, ReLU, dropout."""
    return [
        nn.Linear(inputs, config.units),
        nn.BatchNorm1d(config.units),
        nn.ReLU(),
        nn.Dropout(config.dropout),
    ]


class Average(nn.Module):
    """Mean of the two scores; the only one for a clip with one modality."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor([0.5, 0.5]), requires_grad=False)

    def forward(self, scores: Tensor, present: Tensor) -> Tensor:
        """Map scores [B, 2, C] and presence [B, 2] to [B, C]."""
        weight = self.share * present.to(scores.dtype)
        weight = weight / weight.sum(dim=1, keepdim=True).clamp_min(1e-7)
        return (weight[:, :, None] * scores).sum(dim=1)


class Attention(nn.Module):
    """A weight for each modality, clip and class; equations 3 to 6."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        classes, units = config.classes, config.units
        width = units if config.fused == "units" else classes
        inputs, nets = (2 * classes, 1) if config.attend == "both" else (classes, 2)
        self.crossed = config.attend == "cross"
        self.attend = nn.ModuleList(
            nn.Sequential(*hidden(inputs, config), nn.Linear(units, width), nn.Sigmoid())
            for _ in range(nets)
        )
        self.transforms = nn.ModuleList(self._transform(config) for _ in SIDES)
        self.output: nn.Module = nn.Identity()
        if config.fused == "units":
            self.output = nn.Linear(units, classes)
        elif config.output == "network":
            self.output = nn.Sequential(
                nn.Linear(classes, units), nn.Sigmoid(), nn.Linear(units, classes)
            )

    @staticmethod
    def _transform(config: Config) -> nn.Module:
        if config.transforms == "identity":
            return nn.Identity()
        layers = [nn.Linear(config.classes, config.units), nn.Sigmoid()]
        if config.fused == "classes":
            layers.append(nn.Linear(config.units, config.classes))
        return nn.Sequential(*layers)

    def audio_weight(self, audio: Tensor, visual: Tensor) -> Tensor:
        """Return the share of the audio, alpha_a: [B, C], or [B, U] when units are fused."""
        if len(self.attend) == 1:
            weight: Tensor = self.attend[0](torch.cat([audio, visual], dim=1))
            return weight
        seen_by = (visual, audio) if self.crossed else (audio, visual)
        of_audio, of_visual = (
            net(scores) for net, scores in zip(self.attend, seen_by, strict=True)
        )
        return of_audio / (of_audio + of_visual).clamp_min(1e-7)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised scores [B, C] each to logits [B, C] and the share of the audio."""
        share = self.audio_weight(audio, visual)
        own = [net(side) for net, side in zip(self.transforms, (audio, visual), strict=True)]
        fused = share * own[0] + (1.0 - share) * own[1]
        return self.output(fused), share


class Model(nn.Module):
    """Scores of two models in, scores of both together out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        both = 2 * config.classes
        self.method = config.method
        self.norms = nn.ModuleList(ScoreNorm(config.classes) for _ in SIDES)
        self.fuse: nn.Module
        if config.method == "average":
            self.fuse = Average()
        elif config.method == "regression":
            self.fuse = nn.Linear(both, config.classes)
        elif config.method == "mlp":
            self.fuse = nn.Sequential(
                *hidden(both, config), nn.Linear(config.units, config.classes)
            )
        else:
            self.fuse = Attention(config)

    def forward(self, batch: Batch) -> Outputs:
        """Map `audio` and `visual` scores [B, 1, C] to the clip's; the attention is in `extra`."""
        scores = [batch.features[side][:, 0] for side in SIDES]
        present = [batch.present[side][:, 0] for side in SIDES]
        if self.method == "average":
            return Outputs(clip=self.fuse(torch.stack(scores, 1), torch.stack(present, 1)))
        normal = [
            norm(side, there) for norm, side, there in zip(self.norms, scores, present, strict=True)
        ]
        extra: dict[str, Tensor] = {}
        if self.method == "attention":
            logits, extra["audio_share"] = self.fuse(*normal)
        else:
            logits = self.fuse(torch.cat(normal, dim=1))
        if isinstance(self.fuse, nn.Linear):
            extra["weight"] = self.fuse.weight
        return Outputs(clip=torch.sigmoid(logits.float()), extra=extra)


class Loss(nn.Module):
    """Cross-entropy of the fused score, with the regression's penalty."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.penalty = config.penalty

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `clip`, for the regression `penalty`, and `total`."""
        terms = {"clip": clip_loss(outputs.clip, batch.labels, quality=batch.quality)}
        if "weight" in outputs.extra:
            terms["penalty"] = self.penalty / 2 * outputs.extra["weight"].square().sum()
        return with_total(terms)


def needs(config: Config) -> tuple[str, ...]:
    """Return no feature of the store: `fusion_inputs` reads or makes the scores."""
    return ()


def adapt(config: Config, data: ClipSource) -> Config:
    """Return the settings with whole paths, so that the run finds its two models from anywhere."""
    audio, visual = (
        str(Path(run).resolve()) if run else "" for run in (config.audio_run, config.visual_run)
    )
    return replace(config, audio_run=audio, visual_run=visual)


def prepare(training: Training) -> None:
    """Take mean and standard deviation of the scores from the training clips."""
    data, model = training.data, training.model
    assert isinstance(data, ScoredClips)
    assert isinstance(model, Model)
    for side, norm in zip(SIDES, model.norms, strict=True):
        assert isinstance(norm, ScoreNorm)
        norm.fit(map(torch.from_numpy, data.seen(side, "train")))


def _row(name: str, table: str, row: str, numbers: tuple[float, float], **settings: Any) -> Any:
    scores = dict(zip(("map", "mauc"), numbers, strict=True))
    rows = [PaperRow(paper="Fayek, Kumar 2020", table=table, row=row, numbers=scores)]
    if not settings:
        others = (("3", "AudioVisual (Ours)"), ("4", "Attention (multi-modal)"))
        rows += [
            PaperRow(paper="Fayek, Kumar 2020", table=table, row=row, numbers=scores)
            for table, row in others
        ]
    return Experiment(name=name, settings=settings, rows=tuple(rows))


CARD = ModelCard(
    name="fusion",
    title="Large Scale Audiovisual Learning of Sounds with Weakly Labeled Data",
    paper="Fayek, Kumar, IJCAI 2020",
    url="https://arxiv.org/abs/2006.01595",
    code="",
    needs=("logmel", "resnet152"),
    dataset="audioset",
    task=Tagging(modalities=("audio", "visual"), selection_metric="map"),
    experiments=(
        _row("fusion-attention", "2", "Attention Fusion", (46.16, 97.51)),
        _row("fusion-mlp", "2", "MLP Fusion", (45.60, 96.83), method="mlp"),
        _row("fusion-regression", "2", "Regression Fusion", (43.10, 95.35), method="regression"),
        _row("fusion-average", "2", "Average Fusion", (42.84, 97.63), method="average", epochs=1),
        _row("fusion-self", "4", "Attention (self unimodal)", (46.04, 97.48), attend="self"),
        _row("fusion-cross", "4", "Attention (cross unimodal)", (46.06, 97.47), attend="cross"),
        _row(
            "fusion-without-transforms", "4", "Attention (multi-modal w/o n_a and n_v)",
            (38.84, 95.34), transforms="identity",
        ),
        _row(
            "fusion-without-output", "4", "Attention (multi-modal w/o n_av)", (40.84, 95.15),
            output="identity",
        ),
    ),
    differences=(
        "The paper gives the attention 527 outputs and n_a, n_v 512 units, whose product does not "
        "exist; by default n_a, n_v and n_av have 512 sigmoid units and a linear layer to the "
        "classes behind them, --fused units weights the 512 units instead.",
        "In the self and cross unimodal rows the two weights are divided by their sum.",
        "Without n_av the sigmoid at the end stays; without n_a and n_v normalised scores are "
        "summed.",
        "The penalty of the regression is lambda / 2 times the sum of squares of its weights.",
        "Learning rates are chosen by validation in the paper and not printed; here 1e-3.",
        "A modality that a clip does not have counts as its training mean, and not at all in the "
        "average.",
    ),
    ours=(
        "learning_rate", "decay_every", "decay_factor", "schedule", "weight_decay", "single_epochs",
        "cross_fit", "fused",
    ),
    train_splits=("unbalanced_train",),
)  # fmt: skip

METHOD = NetMethod[Config](
    card=CARD,
    config=Config,
    build=Model,
    loss=Loss,
    needs=needs,
    adapt=adapt,
    derive=fusion_inputs.derive,
    fused_runs=fusion_inputs.fused_runs,
    prepare=prepare,
)
