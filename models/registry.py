"""Models by name, and the experiments of the papers' tables that they can run."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from torch import nn

from models.contract.card import Experiment, ModelCard
from models.contract.config import TrainConfig
from schemas.messages import unknown

MODELS = {
    "han": "models.nets.parsing.han",  # Tian, Li, Xu, ECCV 2020
    "talnet": "models.nets.parsing.talnet",  # baseline there, for audio
    "cmcs": "models.nets.parsing.cmcs",  # baseline there, for visual
    "ave": "models.nets.parsing.ave",  # baseline there
    "wu_yang": "models.nets.parsing.wu_yang",  # Wu, Yang, CVPR 2021
    "cross_modal": "models.nets.parsing.cross_modal",  # Cross-Modal learning for AVVP
    "avg": "models.nets.parsing.avg",  # its pre-training by audio-video grounding
    "baseline": "models.nets.parsing.baseline",  # yardsticks of no paper
    "two_stream": "models.nets.tagging.two_stream",  # Parekh et al., CVPR workshops 2018
    "ncp_mil": "models.nets.tagging.ncp_mil",  # Parekh et al., TASLP 2019
    "cvssp": "models.nets.tagging.cvssp",  # Xu et al., DCASE 2017, a baseline of Parekh et al.
    "fayek_audio": "models.nets.tagging.fayek_audio",  # Fayek, Kumar, IJCAI 2020: log-mel
    "fayek_visual": "models.nets.tagging.fayek_visual",  # and pictures
    "audio_resnet50": "models.nets.tagging.audio_resnet50",  # Ford et al., Interspeech 2019
    "r2plus1d_101": "models.nets.tagging.r2plus1d_101",  # Wang et al., CVPR 2020, baseline
    "g_blend": "models.nets.tagging.g_blend",  # Wang et al., CVPR 2020, baseline
    "fusion": "models.nets.tagging.fusion",  # and the scores of both together
}
"""Every model by name: where its file is."""


class ModelModule(Protocol):
    """What each model file holds."""

    CARD: ModelCard

    @property
    def Config(self) -> type[TrainConfig]:  # noqa: N802
        """Class of its settings."""

    @property
    def Loss(self) -> type[nn.Module]:  # noqa: N802
        """Class of its loss, built from the settings."""

    def build(self, config: Any, /) -> nn.Module:
        """Make the model."""
        ...


def load(name: str) -> ModelModule:
    """Import the file of one model; LookupError with a suggestion when there is none."""
    if name not in MODELS:
        raise LookupError(unknown("model", name, sorted(MODELS)))
    return cast(ModelModule, import_module(MODELS[name]))


def build(name: str, **overrides: Any) -> nn.Module:
    """Build a model with the paper's settings, some of them changed.

    LookupError when the model or a setting does not exist, ValueError when a value is impossible.

    >>> sum(weight.numel() for weight in build("han").parameters())
    4569675
    """
    module = load(name)
    return module.build(settings(name, overrides))


def prepare(name: str, training: Any) -> None:
    """Do what some models want done before their training: pre-training, cleaning of labels.

    The model's file has a function `prepare` for it, or not; it changes the `Training` in place.
    """
    prepare_model = hook(name, "prepare")
    if prepare_model is not None:
        prepare_model(training)


def derive(name: str, data: Any, config: TrainConfig, run: Path) -> Any:
    """Give the clips that a model reads, when these are not what the store holds.

    The model's file has a function `derive` for it, or not; `run` is its run folder.
    """
    make = hook(name, "derive")
    return data if make is None else make(data, config, run)


def adapt(name: str, data: Any, config: TrainConfig) -> TrainConfig:
    """Give the settings with those decided that are left to the data.

    The model's file has a function `adapt` for it, or not.
    """
    choose = hook(name, "adapt")
    return config if choose is None else cast(TrainConfig, choose(config, data))


def hook(name: str, what: str) -> Callable[..., Any] | None:
    """Give a function that a model's file may have or not."""
    found: Callable[..., Any] | None = getattr(load(name), what, None)
    return found


def needs(name: str, config: TrainConfig) -> tuple[str, ...]:
    """Features that a model reads with these settings.

    A model's file has a function `needs` for it when that depends on them, or not; then they are
    those of its card.
    """
    module = load(name)
    given = getattr(module, "needs", None)
    return module.CARD.needs if given is None else tuple(given(config))


def settings(name: str, overrides: Mapping[str, Any]) -> TrainConfig:
    """Give the settings of a model with some of them changed; errors as in `build`."""
    return load(name).Config.from_json(overrides)


def experiments() -> dict[str, tuple[str, Experiment]]:
    """Every experiment of every paper: its name to its model's name and itself."""
    return {
        experiment.name: (model, experiment)
        for model in MODELS
        for experiment in load(model).CARD.experiments
    }


def find(name: str) -> tuple[str, Experiment]:
    """Give the model and the experiment of a name; a model's own name means its defaults.

    LookupError with a suggestion when it is neither.
    """
    if name in MODELS:
        return name, load(name).CARD.experiments[0]
    known = experiments()
    if name not in known:
        raise LookupError(unknown("model or experiment", name, sorted({*MODELS, *known})))
    return known[name]
