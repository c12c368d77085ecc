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
    """Number of denoising steps. Unit: steps."""
    guidance: Guidance = 7.5
    """Scale of classifier-free guidance; up to 1, the negative prompt isn't used. Unit: factor.
    Paper: Ho and Salimans, arXiv:2207.12598, section 3.2."""
    negative_prompt: str = ""
    """Text that describes what to avoid, for every sample."""
    base: str | None = None
    """Folder, single file or hub id of another base model of the kind that the method needs."""
    ema: bool = field(default=False, metadata={ADDED: True})
    """Use the EMA weights of a `base` that is a single file with both kinds."""
    blend: Blend = "none"
    """How known pixels are put back into the result: not at all, exactly (`paste`), or with the mask's edge blurred.
    Paper: Ju et al., BrushNet, arXiv:2403.06976, on blending with a blurred mask."""
    blur: int = 21
    """Kernel size of `blend=blur`; odd. Unit: pixels.
    Paper: Ju et al., BrushNet, arXiv:2403.06976, on blending with a blurred mask."""
    offload: Offload = field(default="none", metadata={NOT_IN_FINGERPRINT: True})
    """`model`: keep each model on the GPU only while it is needed, for small GPUs."""

    def __post_init__(self) -> None:
        check_kernel(self.blur)

    def blended(self, generated: UInt8[Tensor, "n 3 h w"], batch: Batch) -> UInt8[Tensor, "n 3 h w"]:
        """The generated images with the known pixels put back as `blend` says."""
        return blend(generated, batch.images, batch.masks, self.blend, self.blur)


@dataclass(frozen=True, slots=True)
class SampledOptions(DiffusionOptions):
    """Options of a method whose sampler can be chosen."""

    sampler: Sampler | None = None
    """The sampler; none: that of the method's official code, or the folder's own."""


@dataclass(frozen=True, slots=True)
class ConditioningOptions(SampledOptions):
    """Options of a method with a second network beside the UNet."""

    scale: float = 1.0
    """Factor of the features that the second network adds; 0 turns it off. Unit: factor."""
    start: Fraction = 0.0
    """Fraction of the steps at which the second network's features start to be added. Unit: share of the steps."""
    end: Fraction = 1.0
    """Fraction of the steps at which they stop. Unit: share of the steps."""

    def __post_init__(self) -> None:
        SampledOptions.__post_init__(self)
        if self.start >= self.end:
            raise UserError(f"start={self.start} must be less than end={self.end}")

    def weight_at(self, step: Step) -> float:
        """The conditioning scale at a step; 0 for a step that isn't entirely between start and end."""
        outside = step.index / step.count < self.start or (step.index + 1) / step.count > self.end
        return 0.0 if outside else self.scale
