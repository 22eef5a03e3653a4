"""The encoded passages, as the decoder reads them. Knows nothing of models.

Source: Izacard & Grave 2021 (FiD), section 3: the states of a question's passages, end to end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PassageStates:
    """The states of the passages' tokens, a question's end to end (q, s, d), with no padding between them.

    In float32 even if the reader computes in bfloat16. `places` is where each token stands among the k*t places of the
    input; a question with fewer than s tokens has places of padding at the end, which `real` is False for.

    >>> mask = torch.tensor([[[True, True], [True, False]], [[True, False], [False, False]]])  # 2 questions, 2 passages
    >>> passages = PassageStates.of(torch.arange(8.0).view(2, 4, 1), mask)
    >>> passages.states.squeeze(-1).tolist(), passages.real.tolist()
    ([[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]], [[True, True, True], [True, False, False]])
    """

    states: Float[Tensor, "q s d"]
    places: Int[Tensor, "q s"]
    real: Bool[Tensor, "q s"]
    mask: Bool[Tensor, "q k t"]

    @classmethod
    def of(cls, padded: Float[Tensor, "q s d"], mask: Bool[Tensor, "q k t"]) -> PassageStates:
        """The same from states with padding (q, k*t, d)."""
        places, real = real_places(mask)
        return cls(padded.gather(1, places.unsqueeze(-1).expand(-1, -1, padded.shape[-1])), places, real, mask)

    @property
    def padded(self) -> Float[Tensor, "q s d"]:
        """The states with the input's padding (q, k*t, d), 0 there."""
        q, k, t = self.mask.shape
        rows = (self.states * self.real.unsqueeze(-1), self.places.unsqueeze(-1).expand_as(self.states))
        return self.states.new_zeros(q, k * t, self.states.shape[-1]).scatter(1, rows[1], rows[0])

    def spread(self, values: Float[Tensor, "q ... s"], fill: float = 0.0) -> Float[Tensor, "q ... k t"]:
        """One value a token, put back to the places of the input; `fill` at padding."""
        q, k, t = self.mask.shape
        shape = (q, *[1] * (values.ndim - 2), self.places.shape[1])
        places = self.places.view(shape).expand(values.shape)
        spread = values.new_full((*values.shape[:-1], k * t), fill).scatter(-1, places, values)
        return spread.unflatten(-1, (k, t)).masked_fill(~self.mask.view(q, *[1] * (values.ndim - 2), k, t), fill)

    def rows(self, kept: Int[Tensor, " x"]) -> PassageStates:
        """Those of some of the questions."""
        return PassageStates(self.states[kept], self.places[kept], self.real[kept], self.mask[kept])

    def each_alone(self) -> PassageStates:
        """Every passage as a question of its own (q*k of them), empty ones too."""
        q, k, t = self.mask.shape
        return PassageStates.of(self.padded.view(q * k, t, -1), self.mask.view(q * k, 1, t))


def real_places(mask: Bool[Tensor, "q k t"]) -> tuple[Int[Tensor, "q s"], Bool[Tensor, "q s"]]:
    """The places (q, s) of a question's tokens among its k*t, and which of these are tokens (q, s), not padding."""
    flat = mask.flatten(1)
    counts = flat.sum(-1)
    longest = max(1, int(counts.max()))
    places = torch.argsort((~flat).to(torch.uint8), dim=-1, stable=True)[:, :longest]
    return places, torch.arange(longest, device=mask.device) < counts.unsqueeze(-1)
