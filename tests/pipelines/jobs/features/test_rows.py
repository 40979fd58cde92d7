"""A clip's rows."""

import numpy as np

from pipelines.jobs.features.rows import snippet_rows
from schemas import RECIPES


def test_second_is_valid_where_either_modality_is() -> None:
    recipe = RECIPES["llp-eccv20"].with_(extractors=("logmel",))
    audio, visual = np.array([True, True, False, False]), np.array([True, False, True, False])
    features = {"logmel": np.ones((4, 100, 64), np.float32)}
    table = snippet_rows("a", features, {"audio": audio, "visual": visual}, recipe)
    assert table["valid"].to_pylist() == [True, True, True, False]
    assert [row is None for row in table["logmel"].to_pylist()] == [False, False, True, True]
