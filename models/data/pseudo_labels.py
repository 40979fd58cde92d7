"""Per-second labels that another model made, as the nets that train on them read them.

Letters: N clips, T seconds, C classes.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from models.data.parquet import clip_indices, open_part
from models.data.source import ClipTable
from schemas import UsageError
from schemas.labels import MODALITIES, PSEUDO_LABELS, find_label_problem

COLUMNS = ["clip_key", "snippet_index", "modality", "label", "score"]


def read_pseudo_labels(table: ClipTable) -> dict[str, Tensor]:
    """Return the scores of the table `pseudo_labels`: `audio` and `visual` to float [N, T, C].

    `UsageError` when the store has none or lacks those of a training clip, when they are of a clip
    or a second that it has not, or for a row as in `find_label_problem`.
    """
    manifest, names = table.manifest, table.vocabulary.names
    if not manifest.paths(PSEUDO_LABELS):
        raise UsageError(
            f"{manifest.root} has no table {PSEUDO_LABELS}, which this net trains on; make it with "
            "`beam run labels`, or bring published ones in with `beam import-labels`"
        )
    shape = (len(MODALITIES), len(table.keys), table.seconds, len(names))
    scores, known = np.zeros(shape, np.float32), np.zeros(len(table.keys), np.bool_)
    for path in manifest.paths(PSEUDO_LABELS):
        rows = open_part(path).read(columns=COLUMNS)
        problem = find_label_problem(rows, names)
        if problem is not None:
            raise UsageError(f"{path}: {problem}; make the pseudo labels again")
        clip = clip_indices(path, rows["clip_key"].combine_chunks(), pa.array(table.keys))
        second = rows["snippet_index"].to_numpy()
        if len(second) and not 0 <= second.min() <= second.max() < table.seconds:
            worst = second[np.argmax((second < 0) | (second >= table.seconds))]
            raise UsageError(
                f"{path} has a pseudo label in second {worst}, and the clips of {manifest.root} "
                f"have the seconds 0 to {table.seconds - 1}; make the pseudo labels again"
            )
        modality, label = (
            pc.index_in(rows[column], value_set=pa.array(values, pa.string())).to_numpy()
            for column, values in (("modality", MODALITIES), ("label", names))
        )
        scores[modality, clip, second, label] = rows["score"].to_numpy()
        known[clip] = True
    _refuse_unlabelled(table, known)
    return dict(zip(MODALITIES, torch.from_numpy(scores), strict=True))


def _refuse_unlabelled(table: ClipTable, known: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    """Raise `UsageError` for training clips with weak labels and without pseudo labels."""
    wanted = (table.splits == "train") & (table.labels.sum(dim=1) > 0).cpu().numpy()
    lacking = np.flatnonzero(wanted & ~known)
    if len(lacking):
        raise UsageError(
            f"{len(lacking):,} of {int(wanted.sum()):,} training clips of {table.manifest.root} "
            f"have no pseudo labels, the first is {table.keys[lacking[0]]}; make them with "
            "`beam run labels`, which goes over all clips"
        )
