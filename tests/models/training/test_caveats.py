"""Why scores cannot be compared with a paper's."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.data.clips import open_clips
from models.nets.parsing import han
from models.training.results import caveats
from schemas import RECIPES


@pytest.mark.parametrize(
    ("need", "said"), [("resnet152", True), ("proposals", True), ("logmel", False)]
)
def test_fewer_frames_than_the_papers_are_a_caveat_of_nets_that_see(
    need: str, said: bool, small_store: Path
) -> None:
    manifest = open_clips(small_store, ()).manifest
    quick = replace(manifest, data={**manifest.data, "recipe": RECIPES["quick"].to_json()})
    card, (experiment, *_) = replace(han.CARD, needs=(need,)), han.CARD.experiments
    found = caveats(quick, card, experiment, han.Config())
    sentence = "the recipe quick takes frames at 1 a second, the papers' at 8"
    assert (sentence in found) is said
    assert sentence not in caveats(manifest, card, experiment, han.Config())
