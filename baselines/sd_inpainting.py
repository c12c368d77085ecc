"""Stable Diffusion Inpainting, whose UNet also reads the mask and the masked image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import UInt8
from torch import Tensor

from brushbench.baselines.compiled import compile_blocks
from brushbench.baselines.diffusion_options import SampledOptions
from brushbench.baselines.stable_diffusion import EncodedText, Latents, StableDiffusion, Step, to_unit
from brushbench.core.types import Batch
from brushbench.weights.runtime import Runtime

CHANNELS = 9
"""Input channels: 4 of the noisy latents, 1 of the mask, 4 of the masked image's latents."""


@dataclass(frozen=True, slots=True)
class StableDiffusionInpaintingOptions(SampledOptions):
    """Options of `sd-inpainting`; the default sampler is the folder's own."""


@final
@dataclass(frozen=True, slots=True)
class StableDiffusionInpainting:
    """Inpainting with a UNet that also reads the mask and the masked image.

    Rombach et al., arXiv:2112.10752, section 4.5. It behaves like diffusers' inpainting pipeline at strength 1: the
    masked region is set to mid-grey, 0 on [-1, 1], before the image is encoded.
    """

    Options: ClassVar = StableDiffusionInpaintingOptions
    sd: StableDiffusion
    options: SampledOptions

    @classmethod
    def load(cls, options: StableDiffusionInpaintingOptions, runtime: Runtime) -> "StableDiffusionInpainting":
        """Load the base model. Raises `UserError` for weights that can't be used, or a UNet that doesn't inpaint."""
        return cls.of(StableDiffusion.load(runtime, options.base, options.sampler, ema=options.ema), options)

    @classmethod
    def of(cls, sd: StableDiffusion, options: SampledOptions) -> "StableDiffusionInpainting":
        """The method with a loaded model. Raises `UserError` if its UNet doesn't inpaint."""
        sd.check_channels("sd-inpainting", CHANNELS)
        compile_blocks(sd.unet, sd.runtime)
        return cls(sd, options)

    @property
    def side_multiple(self) -> int:
        """Pixels per latent; both sides of an image must be multiples of it."""
        return self.sd.factor

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint a batch. Known pixels go through the VAE too, unless `blend` puts them back."""
        options = self.options
        return self.inpaint(
            batch, seeds, self.sd.encode_text(batch.captions, options.negative_prompt, options.guidance)
        )

    def inpaint(self, batch: Batch, seeds: Sequence[int], text: EncodedText) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint with text that is already encoded."""
        noise = self.sd.noise_source(seeds, batch)
        source = self.sd.placed(batch)
        known = self.sd.encode_image(to_unit(source.images) * ~source.masks)
        condition = torch.cat([self.sd.to_latent_size(source.masks), known], dim=1)

        def predict(latents: Latents, step: Step) -> Latents:
            return self.sd.guided_noise(torch.cat([latents, condition], dim=1), step, text)

        generated = self.sd.decode(self.sd.denoise(noise, self.options.steps, predict))
        return self.options.blended(generated, batch)
