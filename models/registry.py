"""Nets by name, and the experiments of the papers' tables that they can run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from models.contract.card import Experiment
from schemas.messages import unknown

if TYPE_CHECKING:  # names of nets are known without torch
    from torch import nn

    from models.contract.method import Method

MODELS = {
    "han": "models.nets.parsing.han",  # Tian, Li, Xu, ECCV 2020
    "talnet": "models.nets.parsing.baselines.talnet",  # baseline there, for audio
    "cmcs": "models.nets.parsing.baselines.cmcs",  # baseline there, for visual
    "ave": "models.nets.parsing.baselines.ave",  # baseline there
    "wu_yang": "models.nets.parsing.wu_yang",  # Wu, Yang, CVPR 2021
    "cross_modal": "models.nets.parsing.cross_modal",  # Cross-Modal learning for AVVP
    "avg": "models.nets.parsing.avg",  # its pre-training by audio-video grounding
    "jomold": "models.nets.parsing.jomold",  # Cheng et al., ECCV 2022
    "mm_pyramid": "models.nets.parsing.mm_pyramid",  # Yu et al., ACM MM 2022
    "valor": "models.nets.parsing.valor",  # Lai, Chen, Wang, NeurIPS 2023
    "coleaf": "models.nets.parsing.coleaf",  # Sardari et al., ECCV 2024
    "uwav": "models.nets.parsing.uwav",  # Lai et al., CVPR 2025
    "baseline": "models.nets.parsing.baseline",  # baselines of no paper
    "two_stream": "models.nets.tagging.two_stream",  # Parekh et al., CVPR workshops 2018
    "ncp_mil": "models.nets.tagging.ncp_mil",  # Parekh et al., TASLP 2019
    "cvssp": "models.nets.tagging.cvssp",  # Xu et al., DCASE 2017, a baseline of Parekh et al.
    "fayek_audio": "models.nets.tagging.fayek_audio",  # Fayek, Kumar, IJCAI 2020: log-mel
    "fayek_visual": "models.nets.tagging.fayek_visual",  # and video
    "audio_resnet50": "models.nets.tagging.audio_resnet50",  # Ford et al., Interspeech 2019
    "r2plus1d_101": "models.nets.tagging.r2plus1d_101",  # Wang et al., CVPR 2020, baseline
    "g_blend": "models.nets.tagging.g_blend",  # Wang et al., CVPR 2020, baseline
    "fusion": "models.nets.tagging.fusion",  # and the scores of both together
}
"""Every net by name: where its file is."""


def load(name: str) -> Method[Any, Any, Any]:
    """Import the file of a net and return its method; LookupError with a suggestion."""
    if name not in MODELS:
        raise LookupError(unknown("model", name, MODELS))
    return cast("Method[Any, Any, Any]", import_module(MODELS[name]).METHOD)


def build(name: str, **overrides: Any) -> nn.Module:
    """Build a net with the paper's settings, some of them changed.

    LookupError when the net or a setting does not exist, ValueError when a value is impossible.

    >>> sum(weight.numel() for weight in build("han").parameters())
    4569675
    """
    method = load(name)
    return method.build(method.config.from_json(overrides))


def experiments() -> dict[str, tuple[str, Experiment]]:
    """Return every experiment of every paper: its name to its net's name and itself."""
    return {
        experiment.name: (model, experiment)
        for model in MODELS
        for experiment in load(model).card.experiments
    }


def find(name: str) -> tuple[str, Experiment]:
    """Return the net and the experiment of a name; a net's own name means its defaults.

    LookupError with a suggestion when it is neither.
    """
    if name in MODELS:
        return name, load(name).card.experiments[0]
    known = experiments()
    if name not in known:
        raise LookupError(unknown("model or experiment", name, [*MODELS, *known]))
    return known[name]
