"""Two bidirectional GRUs over the same steps, one with a linear and one with a sigmoid candidate.

Paper: Xu, Kong, Wang, Plumbley, "Surrey-CVSSP system for DCASE 2017 Challenge Task 4", 2017; the
    GRUs are those of Keras 2, as the authors' program runs them: Cho et al., "Learning Phrase
    Representations using RNN Encoder-Decoder", EMNLP 2014, the reset gate before the product with
    the recurrent weights, gates by a hard sigmoid, uniform Glorot and orthogonal starts.

Letters: B clips, N steps, I inputs, H units; the four GRUs G are linear forwards and backwards,
then sigmoid forwards and backwards.
"""

import torch
from torch import Tensor, nn

GRUS, BACKWARDS, SIGMOID = 4, (1, 3), slice(2, 4)
"""How many GRUs, which of them read the steps from the end, and which have a sigmoid candidate."""


def hard_sigmoid(x: Tensor) -> Tensor:
    """Return Keras 2's hard sigmoid: 0.2 x + 0.5, cut to 0..1."""
    return (0.2 * x + 0.5).clamp(0.0, 1.0)


class GatedRecurrence(nn.Module):
    """The linear GRU times the sigmoid one, in both directions."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.kernel = nn.Parameter(torch.empty(GRUS, inputs, 3 * units))
        self.recurrent = nn.Parameter(torch.empty(GRUS, units, 3 * units))
        self.bias = nn.Parameter(torch.zeros(GRUS, 3 * units))
        for own in range(GRUS):
            nn.init.xavier_uniform_(self.kernel[own])
            nn.init.orthogonal_(self.recurrent[own])

    def forward(self, steps: Tensor) -> Tensor:
        """Map [B, N, I] to [B, N, 2 H]: forwards, then backwards."""
        hidden = self.run(steps)
        product = hidden[:2] * hidden[2:]
        return torch.cat([product[0], product[1]], dim=2)

    def run(self, steps: Tensor) -> Tensor:
        """Return the states of the four GRUs at each step, [4, B, N, H], in the steps' order."""
        units = self.units
        each = torch.stack([steps.flip(1) if own in BACKWARDS else steps for own in range(GRUS)])
        bias = self.bias[:, None, None]
        heard = torch.einsum("gbni,gij->gbnj", each, self.kernel) + bias
        gates, candidate = self.recurrent[..., : 2 * units], self.recurrent[..., 2 * units :]
        state = heard.new_zeros(GRUS, len(steps), units)
        states = []
        for own in heard.unbind(dim=2):  # [G, B, 3 H], a step
            update, reset = hard_sigmoid(own[..., : 2 * units] + state @ gates).chunk(2, dim=2)
            raw = own[..., 2 * units :] + (reset * state) @ candidate
            new = torch.cat([raw[:2], raw[SIGMOID].sigmoid()])
            state = update * state + (1.0 - update) * new
            states.append(state)
        every = torch.stack(states, dim=2)
        return torch.stack(
            [every[own].flip(1) if own in BACKWARDS else every[own] for own in range(GRUS)]
        )
