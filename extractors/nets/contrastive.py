"""CLIP and CLAP: one space for pictures and text, one for sound and text.

Papers: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
    ICML 2021, https://arxiv.org/abs/2103.00020; Wu et al., "Large-Scale Contrastive Language-Audio
    Pretraining with Feature Fusion and Keyword-to-Caption Augmentation", ICASSP 2023,
    https://arxiv.org/abs/2211.06687
Published weights: folders in the form of Hugging Face, openai/clip-vit-large-patch14 and
    laion/clap-htsat-fused. The structure is what their config.json says.

Seeded nets have the same embeddings' widths, but towers of two layers, and read text byte by byte.
Letters: N items, W width of the space.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from extractors.base import LoadOptions
from extractors.nets.calibration_inputs import draw_frames, draw_waveforms
from extractors.nets.clap_input import log_mel_of_seconds
from extractors.nets.seeded import State, cached, parse_weights
from extractors.nets.threads import one_thread
from extractors.nets.weights import WEIGHTS, find_weights
from schemas.failure import UsageError
from schemas.features import FEATURES

CONTRASTIVE = ("clip", "clap")
"""Names of the nets, which are those of their extractors."""
SIDE = 224
"""Side of the pictures, in pixels."""
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures, per colour."""
BYTES = 256
"""Seeded nets read text as bytes; two more symbols stand for its start and its end."""
MOST_BYTES = 75
"""Bytes of a text that they read."""
SEEDED_SCALE = 100.0
"""Factor between cosines and logits of seeded nets, as CLIP's is after its training."""


@dataclass(frozen=True, eq=False)
class TextVectors:
    """Captions in a space."""

    vectors: np.ndarray[Any, np.dtype[np.float32]]
    """[C, W], of length 1."""
    scale: float
    """What a cosine is multiplied by to become a logit."""
    provenance: Mapping[str, str]
    """sha256 of each weight file, or `seeded:<n>`."""


class ImageTower(nn.Module):
    """From pictures to the space."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.vision, self.projection = net.vision_model, net.visual_projection

    def forward(self, pictures: Tensor) -> Tensor:
        """Map [N, 3, 224, 224] to [N, W]."""
        out: Tensor = self.projection(self.vision(pixel_values=pictures).pooler_output)
        return out


class AudioTower(nn.Module):
    """From log-mel spectrograms to the space."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.audio, self.projection = net.audio_model, net.audio_projection
        self.fused = bool(net.config.audio_config.enable_fusion)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Map [N, 1001, 64] to [N, W]; nothing is longer than ten seconds, so nothing is fused."""
        channels = spectrograms[:, None].expand(-1, 4 if self.fused else 1, -1, -1)
        longer = torch.zeros(len(spectrograms), 1, dtype=torch.bool, device=spectrograms.device)
        found = self.audio(input_features=channels, is_longer=longer).pooler_output
        out: Tensor = self.projection(found)
        return out


def media_tower(
    name: str, seed: int | None, weights_dir: Path | None
) -> tuple[nn.Module, tuple[Tensor, Tensor] | None, dict[str, str]]:
    """Return the tower for media, scale and shift of its outputs if seeded, and the provenance.

    `UsageError` for weights that are missing, cannot be read or have another width.
    """
    net, provenance = _open(name, seed, weights_dir)
    tower = (ImageTower if name == "clip" else AudioTower)(net).eval()
    if seed is None:
        return tower, None, provenance
    state = cached(f"{name}-{seed}", lambda: _calibrate(tower, name, seed))
    return tower, (state["standard.scale"], state["standard.shift"]), provenance


@one_thread()
def text_vectors(name: str, captions: Sequence[str], options: LoadOptions) -> TextVectors:
    """Return captions in the space of `clip` or `clap`; `UsageError` as `media_tower`."""
    seed = parse_weights(options.weights)
    net, provenance = _open(name, seed, options.weights_dir)
    net = net.eval()
    if seed is None:
        tokens = _tokenizer(name, options.weights_dir)(
            list(captions), padding=True, truncation=True, return_tensors="pt"
        )
        scale = net.logit_scale if name == "clip" else net.logit_scale_a
        factor = float(scale.detach().exp())
    else:
        tokens, factor = _as_bytes(captions), SEEDED_SCALE
    given = {key: tokens[key] for key in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        vectors = net.text_projection(net.text_model(**given).pooler_output)
    vectors = vectors.float()
    if seed is not None:
        vectors = vectors - vectors.mean(dim=0)
    unit = nn.functional.normalize(vectors, dim=-1).numpy()
    return TextVectors(unit, factor, provenance)


def _open(name: str, seed: int | None, weights_dir: Path | None) -> tuple[Any, dict[str, str]]:
    transformers = _library()
    if seed is not None:
        return _seeded(transformers, name, seed), {name: f"seeded:{seed}"}
    path, hashes = find_weights(WEIGHTS[name], weights_dir)
    kind = transformers.CLIPModel if name == "clip" else transformers.ClapModel
    width = FEATURES[name].shape[0]
    try:
        net = kind.from_pretrained(path, local_files_only=True, dtype=torch.float32)
    except Exception as error:  # noqa: BLE001  what a damaged file does to its reader is not listed
        said = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{path} is not readable as {name.upper()} in the form of Hugging Face ({said}); "
            f"fetch {WEIGHTS[name].address} again"
        ) from None
    if net.config.projection_dim != width:
        raise UsageError(
            f"{path} embeds in {net.config.projection_dim} numbers, extractor {name} stores "
            f"{width}; take the files of {WEIGHTS[name].address}"
        )
    return net, hashes


def _tokenizer(name: str, weights_dir: Path | None) -> Any:
    path, _ = find_weights(WEIGHTS[name], weights_dir)
    try:
        return _library().AutoTokenizer.from_pretrained(path, local_files_only=True)
    except Exception as error:  # noqa: BLE001  see _open
        said = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{path} has no readable tokenizer ({said}); fetch {WEIGHTS[name].address} again"
        ) from None


def _library() -> Any:
    """Return the package `transformers`; `UsageError` where it is not installed."""
    try:
        import transformers
    except ImportError:
        raise UsageError(
            "extractors clip and clap need the package transformers: pip install 'earsight[labels]'"
        ) from None
    quiet: Any = transformers.logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    return transformers


def _seeded(transformers: Any, name: str, seed: int) -> Any:
    """Return a net with towers of two layers and weights drawn from the seed."""
    text = {
        "vocab_size": BYTES + 2, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 2, "bos_token_id": BYTES,
        "eos_token_id": BYTES + 1, "pad_token_id": BYTES + 1,
    }  # fmt: skip
    width = FEATURES[name].shape[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "clip":
            vision = {
                "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
                "num_attention_heads": 4, "image_size": SIDE, "patch_size": 14,
            }  # fmt: skip
            config = transformers.CLIPConfig(
                text_config=text, vision_config=vision, projection_dim=width
            )
            return transformers.CLIPModel(config)
        audio = {
            "hidden_size": 128, "patch_embeds_hidden_size": 16, "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 4, 8], "projection_dim": width,
        }  # fmt: skip
        config = transformers.ClapConfig(
            text_config={**text, "projection_dim": width, "max_position_embeddings": 514},
            audio_config=audio,
            projection_dim=width,
        )
        return transformers.ClapModel(config)


def _as_bytes(captions: Sequence[str]) -> dict[str, Tensor]:
    """Return captions as bytes between a start and an end, [C, longest], and what is no filling."""
    lines = [[BYTES, *caption.encode()[:MOST_BYTES], BYTES + 1] for caption in captions]
    longest = max(map(len, lines))
    padded = torch.tensor([line + [BYTES + 1] * (longest - len(line)) for line in lines])
    length = torch.tensor([[len(line)] for line in lines])
    return {"input_ids": padded, "attention_mask": (torch.arange(longest) < length).long()}


@one_thread()
def _calibrate(tower: nn.Module, name: str, seed: int) -> State:
    """Measure mean and std of the outputs over drawn pictures or seconds."""
    with torch.inference_mode():
        if name == "clip":
            inputs = as_pictures(draw_frames(48, SIDE, seed))
        else:
            inputs = torch.from_numpy(log_mel_of_seconds(draw_waveforms(48, 1.0, seed)))
        outputs = torch.cat([tower(part) for part in inputs.split(8)])  # type: ignore[no-untyped-call]
    std, mean = torch.std_mean(outputs, dim=0)
    scale = 1.0 / std.clamp_min(0.5 * std.median())
    return {"standard.scale": scale, "standard.shift": -mean * scale}


def as_pictures(frames: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """Return frames, uint8 [N, 224, 224, 3], as float32 [N, 3, 224, 224] as CLIP sees them."""
    values = torch.from_numpy(frames.astype(np.float32) / 255.0)
    return ((values - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
