"""AVG: a transformer over all seconds, pre-trained by audio-video grounding, then fine-tuned.

Paper: "Cross-Modal learning for Audio-Visual Video Parsing",
    https://www.cse.iitb.ac.in/~malta/avvp, section 3.2.
Authors' code:
    https://github.com/jayaprakash-a/Cross-Modal-learning-for-Audio-Visual-Video-Parsing
Differences: see `CARD.differences`.

Pre-training needs no labels: it draws a second of a clip and pulls towards it the seconds that
belong to it (`models.nets.parsing.avg_grounding`), within or across the modalities.
"""

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import AtLeast, Cosine, Dropout, Even, Rate, Seed, Share, Size
from models.contract.card import Departure, ReleasedWeights
from models.contract.config import TrainConfig
from models.data.clips import in_memory, open_clips
from models.data.sampling import shuffled
from models.data.source import ClipSource
from models.nets.losses import clip_loss, guided_terms, modality_targets, with_total
from models.nets.parsing import cross_modal
from models.nets.parsing.avg_grounding import Objective, Rule, graph_truth, grounding_terms
from models.nets.parsing.avg_released import UNUSED, from_authors
from models.nets.parsing.layers import ParsingModel
from models.runtime.console import progress_bar
from models.training.method import NetMethod
from models.training.state import Training
from schemas import UsageError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """AVG on LLP."""

    batch_size: Size = 64
    """Clips per step of the fine-tuning."""
    learning_rate: Rate = 1e-6
    """Adam's learning rate, in pre-training and after."""
    decay_factor: Rate = 1.0
    """The learning rate stays."""
    seed: Seed = 42
    """Seed of initial weights, order of clips and dropout."""
    hidden: Annotated[int, Even(), AtLeast(2)] = 1024
    """Width of the transformer (512 in the paper); a multiple of `heads`, even."""
    layers: Size = 12
    """Layers of the transformer."""
    heads: Size = 8
    """Attention heads."""
    feedforward: Size = 3072
    """Width inside the feed-forward parts."""
    dropout: Dropout = 0.1
    """Of tokens and inside the transformer."""
    finetune_dropout: bool = False
    """Drop out in the fine-tuning too; the authors' program does so in the pre-training alone."""
    positions: Literal["random", "sinusoid"] = "random"
    """Codes of the seconds, never trained: random numbers of standard deviation 0.02, a table for
    each kind of token, as the authors' program has them for ten seconds; or unit sinusoids."""
    width: Size = 512
    """Width of the space of the parsing heads."""
    smooth_visual: Share = 0.1
    """Smoothing of the visual labels in the fine-tuning."""
    objective: Objective = "multi"
    """Grounding within a modality, across, or both."""
    alternate: bool = True
    """With objective multi: cross in odd epochs and uni in even ones, as the authors' code does,
    instead of the sum of both."""
    pretrain_epochs: Annotated[int, AtLeast(0)] = 40
    """Epochs of pre-training; 0 leaves it out."""
    pretrain_batch_size: Size = 16
    """Clips per step of the pre-training."""
    pretrain_features: str = ""
    """Feature store to pre-train on; empty: the training clips of the own store."""
    margin: Cosine = 0.7
    """Cosine that positives are pulled above and negatives pushed below."""
    rule: Rule = "code"
    """How seconds are joined (`models.nets.parsing.avg_grounding.graph_truth`)."""
    picture_threshold: Cosine = 0.96
    """Cosine of ResNet-152 features from which frames count as alike."""
    sound_threshold: Cosine = 0.99
    """Cosine of VGGish features from which seconds of audio count as alike."""
    silence_file: str = ""
    """A .npy file with the VGGish feature of silence, [128] or, as published, [2, 128], of which
    the first row counts, for rule code; empty: no second counts as silent."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden % self.heads:
            raise ValueError(
                f"hidden must be a multiple of heads, got {self.hidden} and {self.heads}"
            )


CODED_SECONDS = 10
"""Seconds that the random codes are for."""


class TokenInput(nn.Module):
    """Features of one kind as tokens of the transformer."""

    positions: Tensor | None

    def __init__(self, size: int, config: Config) -> None:
        super().__init__()
        self.mask = nn.Parameter(0.02 * torch.randn(size))
        self.project = nn.Linear(size, config.hidden)
        self.norm_feature = nn.LayerNorm(config.hidden, eps=1e-12)
        self.norm_token = nn.LayerNorm(config.hidden, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)
        codes = 0.02 * torch.randn(CODED_SECONDS, config.hidden)
        self.register_buffer("positions", codes if config.positions == "random" else None)

    def forward(self, features: Tensor, kind: Tensor) -> Tensor:
        """Map features [B, T, size] and the vector of their token type [H] to tokens [B, T, H]."""
        token = self.norm_feature(self.project(features + self.mask))
        return self.dropout(self.norm_token(token + self.codes(token) + kind))

    def codes(self, token: Tensor) -> Tensor:
        """Return the codes [T, H] of the seconds of tokens [B, T, H]; `UsageError` for too many."""
        if self.positions is None:
            return sinusoids(token.shape[1], token.shape[2]).to(token)
        if token.shape[1] > CODED_SECONDS:
            raise UsageError(
                f"avg has codes for {CODED_SECONDS} seconds and a clip has {token.shape[1]}; train "
                "it with --positions sinusoid"
            )
        return self.positions[: token.shape[1]]


def sinusoids(seconds: int, width: int) -> Tensor:
    """Return fixed sinusoidal position codes [T, H]."""
    second = torch.arange(seconds, dtype=torch.float32)[:, None]
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    return torch.stack(
        [torch.sin(second * frequency), torch.cos(second * frequency)], dim=2
    ).flatten(1)


class Model(ParsingModel):
    """Tokens of three kinds, one transformer, the heads of multimodal MIL."""

    def __init__(self, config: Config) -> None:
        size = config.hidden
        super().__init__(config.width, config.classes, inputs=(size, size, size))
        self.tokens = nn.ModuleDict(
            {
                name: TokenInput(size, config)
                for name, size in (("resnet152", 2048), ("vggish", 128), ("r2plus1d", 512))
            }
        )
        self.kinds = nn.Embedding(2, config.hidden)  # frames 0, audio and motion 1
        layer = nn.TransformerEncoderLayer(
            config.hidden, config.heads, config.feedforward, config.dropout, "gelu",
            layer_norm_eps=1e-12, batch_first=True,
        )  # fmt: skip
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.tokens.apply(_initialise)
        self.kinds.apply(_initialise)
        self.encoder.apply(_initialise)

    def encode(self, batch: Batch, motion: bool) -> list[Tensor]:
        """Return embeddings [B, T, H] of frames, of audio and, with `motion`, of R(2+1)D.

        Pre-training leaves the motion tokens out of the attention; to the others this is the same
        as masking them.
        """
        names = list(self.tokens)[: 3 if motion else 2]
        kinds = [self.kinds.weight[0], self.kinds.weight[1], self.kinds.weight[1]]
        tokens = [
            self.tokens[name](batch.features[name], kind)
            for name, kind in zip(names, kinds, strict=False)
        ]
        encoded: Tensor = self.encoder(torch.cat(tokens, dim=1))
        return list(encoded.chunk(len(tokens), dim=1))

    def forward(self, batch: Batch) -> Outputs:
        """Map features as for HAN to Outputs."""
        frames, audio, motion = self.encode(batch, motion=True)
        return self.pool(self.fc_a(audio), self.fuse(frames, motion))


def _initialise(module: nn.Module) -> None:
    """Draw normal weights of standard deviation 0.02, as BERT has them."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.MultiheadAttention):
        nn.init.normal_(module.in_proj_weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class Loss(nn.Module):
    """HAN's three terms, of equal weight."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.smooth_visual = config.smooth_visual

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `video`, `audio`, `visual` and `total`."""
        guided = guided_terms(outputs, modality_targets(batch, 0.0, self.smooth_visual))
        return with_total({"video": clip_loss(outputs.clip, batch.labels), **guided})


def stop_dropout(training: Training) -> None:
    """Leave dropout out of the fine-tuning, where the settings do so."""
    config = training.config
    assert isinstance(config, Config)
    if config.finetune_dropout:
        return
    for module in training.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0


def prepare(training: Training) -> None:
    """Pre-train; the weights of the best validation loss stay, and so does Adam's state."""
    config, model = training.config, training.model
    assert isinstance(config, Config)
    assert isinstance(model, Model)
    if not config.pretrain_epochs:
        return
    data, rows = _pretraining_clips(training, config)
    cut = round(0.8 * len(rows))
    if not 0 < cut < len(rows):
        raise UsageError(f"pre-training needs at least 3 clips, there are {len(rows)}")
    rows = shuffled(rows, config.seed, 0)
    truth = _truth(data, config)
    best, kept = math.inf, model.state_dict()
    steps = config.pretrain_epochs * math.ceil(cut / config.pretrain_batch_size)
    with progress_bar("pre-training", steps) as step:
        for epoch in range(1, config.pretrain_epochs + 1):
            torch.manual_seed(config.seed * 1_000_003 + epoch)
            model.train()
            order = shuffled(rows[:cut], config.seed, epoch)
            for first in range(0, cut, config.pretrain_batch_size):
                chosen = order[first : first + config.pretrain_batch_size]
                training.optimizer.zero_grad(set_to_none=True)
                loss = _grounding(model, data.batch(chosen), truth[chosen], config, epoch)
                torch.autograd.backward(loss)
                training.optimizer.step()
                step()
            score = validation_loss(model, data, rows[cut:], config, epoch)
            logger.info("pre-training epoch %d/%d: loss %.4f", epoch, config.pretrain_epochs, score)
            if score < best:
                best, kept = score, {n: v.detach().clone() for n, v in model.state_dict().items()}
    model.load_state_dict(kept)


def _pretraining_clips(training: Training, config: Config) -> tuple[ClipSource, Tensor]:
    if not config.pretrain_features:
        return training.data, training.data.rows("train")
    data = open_clips(Path(config.pretrain_features), ("vggish", "resnet152"))
    device = next(training.model.parameters()).device
    return data.to(device), torch.arange(len(data.keys))


def _truth(data: ClipSource, config: Config) -> Tensor:
    """Return which seconds of each clip belong together, bool [N, T, T], computed by blocks."""
    features, silence = in_memory(data).features, _silence(config)
    blocks = [
        graph_truth(
            features["resnet152"][first : first + 512].cpu(),
            features["vggish"][first : first + 512].cpu(),
            rule=config.rule,
            frame_threshold=config.picture_threshold,
            audio_threshold=config.sound_threshold,
            silence=silence,
        )
        for first in range(0, len(data.keys), 512)
    ]
    return torch.cat(blocks)


def _silence(config: Config) -> Tensor | None:
    if not config.silence_file:
        return None
    try:
        vector = np.load(config.silence_file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"--silence-file {config.silence_file} does not open: {error}") from None
    if vector.shape not in ((128,), (2, 128)) or vector.dtype.kind != "f":
        raise UsageError(
            f"--silence-file {config.silence_file} is {vector.dtype} {vector.shape}, need float "
            "(128,) or (2, 128)"
        )
    return torch.from_numpy(vector).float().reshape(-1, 128)[0]


def _grounding(
    model: Model, batch: Batch, truth: Tensor, config: Config, epoch: int, second: int | None = None
) -> Tensor:
    """Return the loss of a second, a drawn one in training; validation takes both objectives."""
    frames, audio = model.encode(batch, motion=False)
    validating = second is not None
    if second is None:
        second = int(torch.randint(frames.shape[1], ()))
    objective: Objective = config.objective
    if objective == "multi" and config.alternate and not validating:
        objective = "cross" if epoch % 2 else "uni"
    margins = (config.margin, config.margin)
    positive = truth[:, second].to(frames.device)
    return grounding_terms(audio, frames, positive, second, objective, margins)


@torch.no_grad()
def validation_loss(
    model: Model, data: ClipSource, rows: Tensor, config: Config, epoch: int
) -> float:
    """Return the grounding loss of clips where each second belongs to itself only."""
    model.eval()
    identity = torch.eye(data.seconds, dtype=torch.bool)
    total = 0.0
    for first in range(0, len(rows), 64):
        batch = data.batch(rows[first : first + 64])
        truth = identity.expand(len(batch.labels), -1, -1)
        for second in range(data.seconds):
            loss = _grounding(model, batch, truth, config, epoch, second)
            total += loss.item() * len(batch.labels) / data.seconds
    return total / len(rows)


CARD = replace(
    cross_modal.CARD,
    name="avg",
    experiments=(
        cross_modal.table_row(
            "avg-multi", "Pretrain (multi)",
            (60.8, 54.8, 50.0, 55.2, 56.2), (53.4, 51.6, 44.3, 49.8, 51.2),
        ),
        cross_modal.table_row(
            "avg-uni", "Pretrain (uni)",
            (59.8, 54.7, 49.4, 54.7, 56.2), (50.8, 51.5, 42.9, 48.4, 49.3),
            objective="uni",
        ),
        cross_modal.table_row(
            "avg-cross", "Pretrain (cross)",
            (60.3, 55.1, 49.9, 55.1, 56.4), (52.3, 52.1, 43.9, 49.4, 50.4),
            objective="cross",
        ),
    ),
    differences=(
        "The paper pre-trains on 29,000 AudioSet clips whose list is not published; without "
        "--pretrain-features the training clips of the own store serve.",
        "It runs as the authors' program does, which is not what the paper says: random codes of "
        "the seconds (--positions sinusoid), width 1024 (--hidden 512), no dropout in the "
        "fine-tuning (--finetune-dropout), objectives in turn (--no-alternate), seconds joined by "
        "both modalities at once (--rule paper). In brackets the paper's.",
        "Without --silence-file no second counts as silent; the authors' program passes over "
        "silent ones.",
        "The motion tokens are left out of the pre-training, where the authors mask them with "
        "-10000: to rounding the same.",
    ),
    released=ReleasedWeights(unused=UNUSED, convert=from_authors),
    departures=(
        Departure(
            says="pre-training set: clips of one's own choice, because the paper's list of 29,000 "
            "clips of AudioSet is not published"
        ),
    ),
)  # fmt: skip

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, prepare=prepare, before_epoch=stop_dropout
)
