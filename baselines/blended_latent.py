"""Blended Latent Diffusion: arXiv:2206.02779, as the official `text_editing_SD2.py` does it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import torch
from jaxtyping import Bool, UInt8
from pydantic import Field
from torch import Tensor

from brushbench.baselines.diffusion_options import SampledOptions
from brushbench.baselines.stable_diffusion import CHANNELS, Latents, StableDiffusion, Step, to_unit
from brushbench.core.types import Batch
from brushbench.weights.runtime import Runtime

OFFICIAL_SCHEDULER: dict[str, object] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 0,
    "timestep_spacing": "leading",
}
"""The official code ignores the checkpoint's: 50 steps are 980, 960, ..., 0."""
OF_THE_MODEL = ("prediction_type", "rescale_betas_zero_snr")
"""What stays the checkpoint's all the same: it says what its UNet was trained to predict, and from how much noise."""


@dataclass(frozen=True, slots=True)
class BlendedLatentOptions(SampledOptions):
    """Options of `blended-latent`: DDIM, as the official script sets it up, if no sampler is named."""

    blending_start: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """This fraction of the steps is left out at the beginning."""


@final
@dataclass(frozen=True, slots=True)
class BlendedLatent:
    """A text-to-image model paints all of the picture, and the known latents are put back after every step.

    It starts from pure noise also when steps are left out, and puts the known latents back with the noise of the step
    just taken, one more than the others have by then: both as the official script. Known pixels are
    put back at the end only if `blend` says so.
    """

    Options: ClassVar = BlendedLatentOptions
    sd: StableDiffusion
    options: BlendedLatentOptions

    @classmethod
    def load(cls, options: BlendedLatentOptions, runtime: Runtime) -> "BlendedLatent":
        """Raises `UserError` for weights that can't be used, or whose UNet reads more than noisy latents."""
        sd = StableDiffusion.load(runtime, options.base, options.sampler or "ddim", ema=options.ema)
        sd.check_channels("blended-latent", CHANNELS)
        if options.sampler:
            return cls(sd, options)
        own = {key: sd.scheduler_config[key] for key in OF_THE_MODEL if key in sd.scheduler_config}
        # A model whose last timestep is pure noise has to begin there.
        if own.get("rescale_betas_zero_snr"):
            own |= {"timestep_spacing": "trailing"}
        return cls(replace(sd, scheduler_config=OFFICIAL_SCHEDULER | own), options)

    @property
    def side_multiple(self) -> int:
        """Pixels per latent: both sides of an image are multiples of it."""
        return self.sd.factor

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Known pixels went through the VAE, and carry the noise of the last timestep."""
        noise = self.sd.noise_source(seeds, batch)
        text = self.sd.encode_text(batch.captions, self.options.negative_prompt, self.options.guidance)
        placed = self.sd.placed(batch)
        source = self.sd.encode_image(to_unit(placed.images))
        holes = centres(placed.masks, self.sd.factor)

        def predict(latents: Latents, step: Step) -> Latents:
            return self.sd.guided_noise(latents, step, text)

        def keep_known(latents: Latents, step: Step) -> Latents:
            return torch.where(holes, latents, step.noised(source, noise()))

        skipped = int(self.options.steps * self.options.blending_start)
        latents = self.sd.denoise(noise, self.options.steps, predict, skipped=skipped, after=keep_known)
        return self.options.blended(self.sd.decode(latents), batch)


def centres(masks: Bool[Tensor, "n 1 H W"], factor: int) -> Bool[Tensor, "n 1 h w"]:
    """The pixel right below the middle of each square of the VAE's factor, as Pillow's NEAREST takes it."""
    return masks[..., factor // 2 :: factor, factor // 2 :: factor]
