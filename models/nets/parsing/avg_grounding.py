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
    """Return the cosine of each pair of seconds: [N, T, D] and [N, U, D] to [N, T, U]."""
    return F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).transpose(1, 2)


def graph_truth(
    frames: Tensor,
    audio: Tensor,
    *,
    rule: Rule = "paper",
    frame_threshold: float = 0.96,
    audio_threshold: float = 0.99,
    silence: Tensor | None = None,
    silence_threshold: float = 0.99,
) -> Tensor:
    """Return the seconds of a clip that belong together: bool [N, T, T], true on the diagonal.

    `frames` is [N, T, 2048], `audio` [N, T, 128]. Seconds j < k are joined, by rule `paper`
    (algorithm 1), when their frames or their audio are at least as alike as the threshold; by
    rule `code` (the authors' program) when both are more alike than that and second j is not
    silent, that is, not more like `silence` [128] than its threshold. All seconds that are joined
    directly or through others belong together.
    """
    look, hear = cosines(frames, frames), cosines(audio, audio)
    if rule == "paper":
        joined = (look >= frame_threshold) | (hear >= audio_threshold)
    else:
        joined = (look > frame_threshold) & (hear > audio_threshold)
        if silence is not None:
            quiet = cosines(audio, silence.expand(len(audio), 1, -1)) > silence_threshold
            joined = joined & ~quiet  # [N, T, T] and [N, T, 1]: by the earlier second
    joined = joined.triu(diagonal=1)
    return _closure(joined | joined.transpose(1, 2))


def _closure(joined: Tensor) -> Tensor:
    """Return the connected components of graphs [N, T, T]: which seconds reach which."""
    seconds = joined.shape[1]
    reached = joined | torch.eye(seconds, dtype=torch.bool, device=joined.device)
    for _ in range(max(1, seconds.bit_length())):  # paths double in length each time
        steps = reached.float()
        reached = steps @ steps > 0
    return reached


def grounding_loss(
    anchor: Tensor, others: Tensor, positive: Tensor, margins: tuple[float, float] = (0.7, 0.7)
) -> Tensor:
    """Return the margin loss of one second against all of its clip, mean over clips and seconds.

    `anchor` [B, D], `others` [B, T, D], `positive` [B, T] true or 1 where they belong together.
    Positives are pulled above the first margin of cosine, the others pushed below the second.
    """
    cosine = cosines(anchor[:, None], others)[:, 0]
    pulled, pushed = F.relu(margins[0] - cosine), F.relu(cosine - margins[1])
    return torch.where(positive > 0, pulled, pushed).mean()


def grounding_terms(
    audio: Tensor,
    frames: Tensor,
    positive: Tensor,
    second: int,
    objective: Objective,
    margins: tuple[float, float] = (0.7, 0.7),
) -> Tensor:
    """Return the loss of one second's embeddings, equations 4 (`uni`), 5 (`cross`) and 6 (`multi`).

    `audio` and `frames` are embeddings [B, T, D], `positive` is [B, T].
    """
    pairs: Sequence[tuple[Tensor, Tensor]] = {
        "uni": [(audio, audio), (frames, frames)],
        "cross": [(audio, frames), (frames, audio)],
        "multi": [(audio, audio), (frames, frames), (audio, frames), (frames, audio)],
    }[objective]
    losses = [
        grounding_loss(anchors[:, second], others, positive, margins) for anchors, others in pairs
    ]
    return torch.stack(losses).sum()
