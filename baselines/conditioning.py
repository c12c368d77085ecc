"""Options that several methods share: putting known pixels back, and how much of a branch is added, and when."""

from dataclasses import dataclass
from typing import Annotated

from jaxtyping import UInt8
from pydantic import Field
from torch import Tensor

from baselines.stable_diffusion import DiffusionOptions, Step
from brushbench.errors import UserError
from brushbench.masks import Blend, blend, check_kernel
from brushbench.types import Batch

Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class BlendingOptions(DiffusionOptions):
    """Options of a method that can put known pixels back into its result."""

    blend: Blend = "none"
    """How."""
    blur: int = 21
    """Kernel of `blend=blur`, pixels, odd."""

    def __post_init__(self) -> None:
        check_kernel(self.blur)

    def blended(self, painted: UInt8[Tensor, "n 3 h w"], batch: Batch) -> UInt8[Tensor, "n 3 h w"]:
        """A result as it is asked for."""
        return blend(painted, batch.images, batch.masks, self.blend, self.blur)


@dataclass(frozen=True, slots=True)
class ConditioningOptions(BlendingOptions):
    """Options of a method with a branch beside the UNet."""

    scale: float = 1.0
    """The conditioning scale w."""
    start: Fraction = 0.0
    """The branch is added from this fraction of the steps on ..."""
    end: Fraction = 1.0
    """... to this one."""

    def __post_init__(self) -> None:
        BlendingOptions.__post_init__(self)
        if self.start >= self.end:
            raise UserError(f"start={self.start} must be less than end={self.end}")

    def weight_at(self, step: Step) -> float:
        """The conditioning scale at a step; 0 for a step that isn't wholly between start and end."""
        outside = step.index / step.count < self.start or (step.index + 1) / step.count > self.end
        return 0.0 if outside else self.scale
