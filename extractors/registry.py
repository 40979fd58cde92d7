"""Extractors by name. Nothing heavy is imported before one is chosen."""

import importlib
from typing import cast

from extractors.base import Extractor
from schemas.messages import unknown
from schemas.recipe import RECIPES, Recipe

EXTRACTORS = {
    "vggish": "extractors.vggish:VGGish",  # Hershey et al., ICASSP 2017
    "resnet152": "extractors.resnet152:ResNet152",  # He et al., CVPR 2016
    "r2plus1d": "extractors.r2plus1d:R2Plus1D",  # Tran et al., CVPR 2018
    "logmel": "extractors.logmel:LogMel",  # Fayek & Kumar, IJCAI 2020
    "segments": "extractors.segments:Segments",  # Parekh et al., CVPRW 2018
    "proposals": "extractors.proposals:RegionProposals",  # Parekh et al., TASLP 2019
    "ncp": "extractors.ncp:NCP",  # Parekh et al., TASLP 2019
    "clip": "extractors.clip:CLIP",  # Radford et al., ICML 2021
    "clap": "extractors.clap:CLAP",  # Wu et al., ICASSP 2023
    "frames": "extractors.encoded_frames:EncodedFrames",
}


def create(name: str, recipe: Recipe = RECIPES["llp-eccv20"]) -> Extractor:
    """Return a new extractor, not yet loaded; `LookupError` with the known names if there is none.

    >>> create("logmel").spec.shape
    (100, 64)
    """
    if name not in EXTRACTORS:
        raise LookupError(unknown("extractor", name, EXTRACTORS))
    module, attribute = EXTRACTORS[name].split(":")
    return cast(Extractor, getattr(importlib.import_module(module), attribute)(recipe))
