"""Files about a data set's classes that settings name: an ontology, and how good labels are."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from models.contract.config import TaggingConfig, TrainConfig
from models.data.source import ClipSource
from schemas.manifests.ontology import read_label_quality, read_ontology
from schemas.messages import listed

FILES = ("ontology", "label_quality")
"""Settings that name such a file."""

Config = TypeVar("Config", bound=TrainConfig)
Source = TypeVar("Source", bound=ClipSource)

logger = logging.getLogger(__name__)


def with_whole_paths(config: Config) -> Config:
    """Return the settings with whole paths, so that a run finds its files from anywhere."""
    if not isinstance(config, TaggingConfig):
        return config
    given = {name: getattr(config, name) for name in FILES}
    whole: dict[str, Any] = {
        name: str(Path(path).resolve()) for name, path in given.items() if path
    }
    return replace(config, **whole)


def with_label_quality(data: Source, config: TrainConfig) -> Source:
    """Return the clips with the quality of their labels, where the settings name it.

    `UsageError` for a file that does not fit the clips, the ontology's too: before a training.
    """
    if not isinstance(config, TaggingConfig):
        return data
    names = data.vocabulary.names
    if config.ontology:
        read_ontology(Path(config.ontology), names)
    if not config.label_quality:
        return data
    quality = read_label_quality(Path(config.label_quality), names)
    unrated = [name for name, share in zip(names, quality, strict=True) if np.isnan(share)]
    if unrated:
        logger.warning(
            "%d of %d classes have no rated label (%s): theirs count whole", len(unrated),
            len(names), listed(unrated, 5),
        )  # fmt: skip
    return replace(data, quality=torch.from_numpy(np.nan_to_num(quality, nan=1.0)).float())
