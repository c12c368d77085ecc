"""The second masks of re-inpainting: random squares of a grid, the same for every method."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from brushbench.core.errors import UserError

Where = Literal["outside", "inside"]
GRID = 16
"""The number of cells on each side of the image."""
SHARES: dict[Where, float] = {"outside": 0.4, "inside": 0.5}
"""The usual probability that a cell is masked."""


@dataclass(frozen=True, slots=True)
class Patches:
    """How second masks are drawn. Raises `UserError` for values out of range."""

    count: int = 4
    """Masks per image."""
    where: Where = "outside"
    """`outside`: only known pixels are inpainted again, so that the first result is their context. `inside`: only
    inpainted pixels are, so that each part of the first result is judged by the rest of it."""
    share: float | None = None
    """Probability that a cell is masked; None: the usual one."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f"patterns={self.count}; valid: 1 or more")
        if self.share is not None and not 0 < self.share < 1:
            raise UserError(f"share={self.share}; valid: between 0 and 1")

    @property
    def probability(self) -> float:
        """The probability that a cell is masked."""
        return SHARES[self.where] if self.share is None else self.share

    def described(self) -> str:
        """All that determines the masks, as a part of a metric's version."""
        return f"{self.where} {self.count}x{GRID}x{GRID} p={self.probability:g}"

    def __call__(self, mask: Bool[Tensor, "1 h w"], sample_id: str, number: int) -> Bool[Tensor, "1 h w"]:
        """The second mask with this number; it may be empty. It depends on nothing but the sample and the number."""
        digest = hashlib.sha256(f"{sample_id}:{number}".encode()).digest()
        draw = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
        cells = torch.rand(GRID, GRID, generator=draw, dtype=torch.float64) < self.probability
        rows, columns = (torch.arange(length) * GRID // length for length in mask.shape[1:])
        return cells[rows][:, columns][None] & (mask if self.where == "inside" else ~mask)
