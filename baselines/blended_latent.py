"""Blended Latent Diffusion, arXiv:2206.02779, as in the official `text_editing_SD2.py`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import torch
from jaxtyping import Bool, UInt8
from pydantic import Field
from torch import Tensor

from brushbench.baselines.compiled import compile_blocks
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
"""The official code ignores the checkpoint's own schedule: 50 steps are 980, 960, ..., 0."""
OF_THE_MODEL = ("prediction_type", "rescale_betas_zero_snr")
"""Settings still taken from the checkpoint: what its UNet was trained to predict, and from how much noise."""


@dataclass(frozen=True, slots=True)
class BlendedLatentOptions(SampledOptions):
    """Options of `blended-latent`; the default sampler is DDIM as the official script sets it up."""

    blending_start: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Fraction of the steps that is skipped at the beginning. Unit: share of the steps."""


@final
@dataclass(frozen=True, slots=True)
class BlendedLatent:
    """A text-to-image model generates the whole picture, and the known latents are put back after every step.

    As in the official script, it starts from pure noise even if steps are skipped, and the known latents are put back
    at the noise level of the step just taken, one step noisier than the generated latents. Known pixels are put back
    at the end only if `blend` says so.
    """

    Options: ClassVar = BlendedLatentOptions
    sd: StableDiffusion
    options: BlendedLatentOptions

    @classmethod
    def load(cls, options: BlendedLatentOptions, runtime: Runtime) -> "BlendedLatent":
        """Load the base model.

        Raises `UserError` for weights that can't be used, or whose UNet reads more than noisy latents.
        """
        sd = StableDiffusion.load(runtime, options.base, options.sampler or "ddim", ema=options.ema)
        sd.check_channels("blended-latent", CHANNELS)
        compile_blocks(sd.unet, runtime)
        if options.sampler:
            return cls(sd, options)
        own = {key: sd.scheduler_config[key] for key in OF_THE_MODEL if key in sd.scheduler_config}
        # A model whose last timestep is pure noise must start at that timestep.
        if own.get("rescale_betas_zero_snr"):
            own |= {"timestep_spacing": "trailing"}
        return cls(replace(sd, scheduler_config=OFFICIAL_SCHEDULER | own), options)

    @property
    def side_multiple(self) -> int:
        """Pixels per latent; both sides of an image must be multiples of it."""
        return self.sd.factor

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint a batch. Known pixels have been through the VAE and carry the noise of the last timestep."""
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
    """Masks at latent size: the pixel just below and right of each square's centre, as in Pillow's NEAREST."""
    return masks[..., factor // 2 :: factor, factor // 2 :: factor]
