"""Inpainting with a ControlNet, arXiv:2302.05543, conditioned as its inpainting checkpoint was trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast, final

import torch
from diffusers import ControlNetModel
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from brushbench.baselines.checkpoints import load_model
from brushbench.baselines.compiled import compile_blocks
from brushbench.baselines.diffusion_options import ConditioningOptions
from brushbench.baselines.stable_diffusion import Latents, StableDiffusion, Step, to_fraction
from brushbench.core.errors import UserError
from brushbench.core.types import Batch
from brushbench.weights.runtime import Runtime

PART = "controlnet"


@dataclass(frozen=True, slots=True)
class ControlNetInpaintingOptions(ConditioningOptions):
    """Options of `controlnet`; the default sampler is the folder's own."""

    controlnet: str | None = None
    """Folder or hub id of another ControlNet that reads masked images."""


@final
@dataclass(frozen=True, slots=True)
class ControlNetInpainting:
    """A text-to-image model generates the whole picture, guided by a ControlNet that sees what surrounds the hole.

    It behaves like diffusers' `StableDiffusionControlNetPipeline` with the masked image as the condition. Only the
    ControlNet preserves the known region: this is CNI of the BrushNet paper, and with `blend` its CNI*.
    """

    Options: ClassVar = ControlNetInpaintingOptions
    sd: StableDiffusion
    controlnet: ControlNetModel
    options: ControlNetInpaintingOptions

    @classmethod
    def load(cls, options: ControlNetInpaintingOptions, runtime: Runtime) -> "ControlNetInpainting":
        """Load the base model and the ControlNet.

        Raises `UserError` for weights that can't be used, or a base and a ControlNet that don't fit together.
        """
        sd = StableDiffusion.load(runtime, options.base, options.sampler, ema=options.ema)
        folder = runtime.weights.folder(PART, options.controlnet)
        controlnet = load_model(ControlNetModel, folder, PART, runtime)
        needed, given = (
            (model.config.in_channels, list(model.config.block_out_channels), model.config.cross_attention_dim)
            for model in (controlnet, sd.unet)
        )
        if needed != given:
            raise UserError(
                f"this ControlNet is for a UNet of input channels, widths and text width {needed}, this one has {given}"
            )
        for model in (sd.unet, controlnet):
            compile_blocks(model, runtime)
        return cls(sd, controlnet, options)

    @property
    def side_multiple(self) -> int:
        """Pixels per latent; both sides of an image must be multiples of it."""
        return self.sd.factor

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint a batch. The ControlNet reads the text too, so it runs for both halves of the guidance."""
        noise = self.sd.noise_source(seeds, batch)
        text = self.sd.encode_text(batch.captions, self.options.negative_prompt, self.options.guidance)
        source = self.sd.placed(batch)
        condition = masked_condition(source.images, source.masks).to(self.sd.runtime.dtype)
        condition = condition.repeat(text.copies, 1, 1, 1)

        def predict(latents: Latents, step: Step) -> Latents:
            weight = self.options.weight_at(step)

            # Any: the keywords that the loop passes to a UNet.
            def controlled(doubled: Tensor, time: Tensor, **keywords: Any) -> tuple[Tensor]:
                read = keywords["encoder_hidden_states"]
                down, mid = self.controlnet(doubled, time, read, condition, weight, return_dict=False)
                added = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
                return cast(tuple[Tensor], self.sd.unet(doubled, time, **added, **keywords))

            return self.sd.guided_noise(latents, step, text, controlled if weight else None)

        generated = self.sd.decode(self.sd.denoise(noise, self.options.steps, predict))
        return self.options.blended(generated, batch)


def masked_condition(images: UInt8[Tensor, "n 3 h w"], masks: Bool[Tensor, "n 1 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Images on [0, 1], with -1 at masked pixels."""
    return torch.where(masks, -1.0, to_fraction(images))
