"""Stable Diffusion Inpainting: a UNet that also reads the mask and the masked image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import UInt8
from torch import Tensor

from brushbench.baselines.diffusion_options import SampledOptions
from brushbench.baselines.stable_diffusion import EncodedText, Latents, StableDiffusion, Step, to_unit
from brushbench.core.types import Batch
from brushbench.weights.runtime import Runtime

CHANNELS = 9
"""4 noisy latents, 1 mask, 4 latents of the masked image."""


@dataclass(frozen=True, slots=True)
class StableDiffusionInpaintingOptions(SampledOptions):
    """Options of `sd-inpainting`: the folder's own sampler if none is named."""


@final
@dataclass(frozen=True, slots=True)
class StableDiffusionInpainting:
    """Rombach et al., arXiv:2112.10752, section 4.5; the behaviour of diffusers' inpainting pipeline at strength 1.

    The painted region of the image is mid-grey, 0 on [-1, 1], before the VAE sees it.
    """

    Options: ClassVar = StableDiffusionInpaintingOptions
    sd: StableDiffusion
    options: SampledOptions

    @classmethod
    def load(cls, options: StableDiffusionInpaintingOptions, runtime: Runtime) -> "StableDiffusionInpainting":
        """Raises `UserError` for weights that can't be used, or whose UNet is no inpainting UNet."""
        return cls.of(StableDiffusion.load(runtime, options.base, options.sampler, ema=options.ema), options)

    @classmethod
    def of(cls, sd: StableDiffusion, options: SampledOptions) -> "StableDiffusionInpainting":
        """With a model that is loaded. Raises `UserError` if its UNet is no inpainting UNet."""
        sd.check_channels("sd-inpainting", CHANNELS)
        return cls(sd, options)

    @property
    def side_multiple(self) -> int:
        """Pixels per latent: both sides of an image are multiples of it."""
        return self.sd.factor

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Known pixels went through the VAE too, unless `blend` puts them back."""
        options = self.options
        return self.painted(
            batch, seeds, self.sd.encode_text(batch.captions, options.negative_prompt, options.guidance)
        )

    def painted(self, batch: Batch, seeds: Sequence[int], text: EncodedText) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint with text that is already encoded."""
        noise = self.sd.noise_source(seeds, batch)
        source = self.sd.placed(batch)
        known = self.sd.encode_image(to_unit(source.images) * ~source.masks)
        condition = torch.cat([self.sd.to_latent_size(source.masks), known], dim=1)

        def predict(latents: Latents, step: Step) -> Latents:
            return self.sd.guided_noise(torch.cat([latents, condition], dim=1), step, text)

        painted = self.sd.decode(self.sd.denoise(noise, self.options.steps, predict))
        return self.options.blended(painted, batch)
