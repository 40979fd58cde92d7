"""Audio-video grounding: which seconds of a clip belong together, and the loss that says so.

Paper: "Cross-Modal learning for Audio-Visual Video Parsing",
    https://www.cse.iitb.ac.in/~malta/avvp, section 3.2, equations 4 to 6, and algorithm 1.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Rule = Literal["paper", "code"]
Objective = Literal["uni", "cross", "multi"]


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Cosine of each pair of seconds: [N, T, D] and [N, U, D] to [N, T, U]."""
    return F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).transpose(1, 2)


def graph_truth(
    picture: Tensor,
    sound: Tensor,
    *,
    rule: Rule = "paper",
    picture_threshold: float = 0.96,
    sound_threshold: float = 0.99,
    silence: Tensor | None = None,
    silence_threshold: float = 0.99,
) -> Tensor:
    """Seconds of a clip that belong together: bool [N, T, T], true on the diagonal.

    `picture` is [N, T, 2048], `sound` [N, T, 128]. Seconds j < k are joined, by rule `paper`
    (algorithm 1), when their pictures or their sounds are at least as alike as the threshold; by
    rule `code` (the authors' program) when both are more alike than that and second j is not
    silent, that is, not more like `silence` [128] than its threshold. All seconds that are joined
    directly or through others belong together.
    """
    look, hear = cosines(picture, picture), cosines(sound, sound)
    if rule == "paper":
        joined = (look >= picture_threshold) | (hear >= sound_threshold)
    else:
        joined = (look > picture_threshold) & (hear > sound_threshold)
        if silence is not None:
            quiet = cosines(sound, silence.expand(len(sound), 1, -1)) > silence_threshold
            joined = joined & ~quiet  # [N, T, T] and [N, T, 1]: by the earlier second
    joined = joined.triu(diagonal=1)
    return _closure(joined | joined.transpose(1, 2))


def _closure(joined: Tensor) -> Tensor:
    """Connected components of graphs [N, T, T]: which seconds reach which."""
    seconds = joined.shape[1]
    reached = joined | torch.eye(seconds, dtype=torch.bool, device=joined.device)
    for _ in range(max(1, seconds.bit_length())):  # paths double in length each time
        steps = reached.float()
        reached = steps @ steps > 0
    return reached


def grounding_loss(
    anchor: Tensor, others: Tensor, positive: Tensor, margins: tuple[float, float] = (0.7, 0.7)
) -> Tensor:
    """Margin loss of one second against all seconds of its clip, mean over clips and seconds.

    `anchor` [B, D], `others` [B, T, D], `positive` [B, T] true or 1 where they belong together.
    Positives are pulled above the first margin of cosine, the others pushed below the second.
    """
    cosine = cosines(anchor[:, None], others)[:, 0]
    pulled, pushed = F.relu(margins[0] - cosine), F.relu(cosine - margins[1])
    return torch.where(positive > 0, pulled, pushed).mean()


def grounding_terms(
    sound: Tensor,
    picture: Tensor,
    positive: Tensor,
    second: int,
    objective: Objective,
    margins: tuple[float, float] = (0.7, 0.7),
) -> Tensor:
    """Loss of one second's embeddings, equations 4 (`uni`), 5 (`cross`) and 6 (`multi`).

    `sound` and `picture` are embeddings [B, T, D], `positive` is [B, T].
    """
    pairs: Sequence[tuple[Tensor, Tensor]] = {
        "uni": [(sound, sound), (picture, picture)],
        "cross": [(sound, picture), (picture, sound)],
        "multi": [(sound, sound), (picture, picture), (sound, picture), (picture, sound)],
    }[objective]
    losses = [grounding_loss(one[:, second], all_of, positive, margins) for one, all_of in pairs]
    return torch.stack(losses).sum()
