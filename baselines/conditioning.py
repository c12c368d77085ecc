"""What a branch beside the UNet has in common with any other: how much of it is added, and when."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from baselines.stable_diffusion import DiffusionOptions, Step
from brushbench.errors import UserError
from brushbench.masks import Blend, check_kernel

Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class ConditioningOptions(DiffusionOptions):
    """Options of a method with such a branch."""

    scale: float = 1.0
    """The conditioning scale w."""
    start: Fraction = 0.0
    """The branch is added from this fraction of the steps on ..."""
    end: Fraction = 1.0
    """... to this one."""
    blend: Blend = "none"
    """How known pixels are put back into the result."""
    blur: int = 21
    """Kernel of `blend=blur`, pixels, odd."""

    def __post_init__(self) -> None:
        check_kernel(self.blur)
        if self.start >= self.end:
            raise UserError(f"start={self.start} must be less than end={self.end}")

    def weight_at(self, step: Step) -> float:
        """The conditioning scale at a step; 0 for a step that isn't wholly between start and end."""
        outside = step.index / step.count < self.start or (step.index + 1) / step.count > self.end
        return 0.0 if outside else self.scale
