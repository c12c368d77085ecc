"""Options that diffusion methods share."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from jaxtyping import UInt8
from pydantic import Field
from torch import Tensor

from brushbench.baselines.schedulers import Sampler
from brushbench.baselines.stable_diffusion import Step
from brushbench.core.errors import UserError
from brushbench.core.method_options import ADDED, NOT_IN_FINGERPRINT
from brushbench.core.types import Batch
from brushbench.imaging.masks import Blend, blend, check_kernel

Steps = Annotated[int, Field(ge=1, le=1000)]
Guidance = Annotated[float, Field(ge=0)]
Offload = Literal["none", "model"]
Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class DiffusionOptions:
    """Options of every method that denoises."""

    steps: Steps = 50
    guidance: Guidance = 7.5
    negative_prompt: str = ""
    base: str | None = None
    """Folder or hub id of another diffusion model, of the kind that the method stands on."""
    ema: bool = field(default=False, metadata={ADDED: True})
    """Take the EMA weights of a `base` that is a single file with plain ones too."""
    blend: Blend = "none"
    """How known pixels are put back into the result."""
    blur: int = 21
    """Kernel of `blend=blur`, pixels, odd."""
    offload: Offload = field(default="none", metadata={NOT_IN_FINGERPRINT: True})
    """`model`: for small GPUs, each model is on it only while it is needed."""

    def __post_init__(self) -> None:
        check_kernel(self.blur)

    def blended(self, painted: UInt8[Tensor, "n 3 h w"], batch: Batch) -> UInt8[Tensor, "n 3 h w"]:
        """A result with the known pixels put back as `blend` says."""
        return blend(painted, batch.images, batch.masks, self.blend, self.blur)


@dataclass(frozen=True, slots=True)
class SampledOptions(DiffusionOptions):
    """Options of a method without a sampler of its own."""

    sampler: Sampler | None = None
    """None: the one of the method's official code, or the folder's own."""


@dataclass(frozen=True, slots=True)
class ConditioningOptions(SampledOptions):
    """Options of a method with a branch beside the UNet."""

    scale: float = 1.0
    """The conditioning scale w."""
    start: Fraction = 0.0
    """The branch is added from this fraction of the steps on ..."""
    end: Fraction = 1.0
    """... to this one."""

    def __post_init__(self) -> None:
        SampledOptions.__post_init__(self)
        if self.start >= self.end:
            raise UserError(f"start={self.start} must be less than end={self.end}")

    def weight_at(self, step: Step) -> float:
        """The conditioning scale at a step; 0 for a step that isn't wholly between start and end."""
        outside = step.index / step.count < self.start or (step.index + 1) / step.count > self.end
        return 0.0 if outside else self.scale
