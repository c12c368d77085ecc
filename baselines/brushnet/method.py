"""Inpainting with BrushNet: arXiv:2403.06976, and the official `evaluate_brushnet.py`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float, UInt8
from torch import Tensor

from brushbench.baselines.brushnet.model import BrushNetModel
from brushbench.baselines.brushnet.residuals import Residuals, take_residuals, with_residuals
from brushbench.baselines.checkpoints import load_model
from brushbench.baselines.compiled import compile_blocks
from brushbench.baselines.diffusion_options import ConditioningOptions
from brushbench.baselines.ip_adapter import ImagePrompts
from brushbench.baselines.kinds import family_of
from brushbench.baselines.lora import add_lora
from brushbench.baselines.sdxl import is_sdxl
from brushbench.baselines.stable_diffusion import (
    CHANNELS,
    After,
    EncodedText,
    Latents,
    NoiseSource,
    StableDiffusion,
    Step,
    to_unit,
)
from brushbench.core.errors import UserError
from brushbench.core.types import Batch
from brushbench.imaging.masks import erase
from brushbench.weights.runtime import Runtime

PART = "brushnet"


@dataclass(frozen=True, slots=True)
class BrushNetOptions(ConditioningOptions):
    """Options of `brushnet`; the default sampler is UniPC, as in the official script. The branch is plug-and-play."""

    scale: float = 1.0
    """Preservation scale w: factor of the features that the branch adds; 0 turns it off. Unit: factor.
    Paper: Ju et al., BrushNet, arXiv:2403.06976, on the preservation scale."""
    brushnet: str | None = None
    """Folder or hub id of another BrushNet branch."""
    lora: str | None = None
    """File, folder or hub id of LoRA weights for the base model."""
    lora_scale: float = 1.0
    """Factor of the change that the LoRA makes to the weights. Unit: factor.
    Paper: Hu et al., arXiv:2106.09685, section 4.1."""
    ip_adapter: str | None = None
    """File, folder or hub id of an IP-Adapter for the base model."""
    ip_adapter_scale: float = 1.0
    """Weight of the attention to the picture, beside that to the text. Unit: factor.
    Paper: Ye et al., arXiv:2308.06721, section 3.2."""
    ip_adapter_image: str | None = None
    """The picture to use as a prompt, or a folder with one picture per sample, named after the sample's id."""

    def __post_init__(self) -> None:
        ConditioningOptions.__post_init__(self)
        if (self.ip_adapter is None) != (self.ip_adapter_image is None):
            raise UserError("ip_adapter and ip_adapter_image need each other; valid: both, or neither")


@final
@dataclass(frozen=True, slots=True)
class BrushNet:
    """A branch without attention guides a frozen Stable Diffusion 1.5 or SDXL, layer by layer."""

    Options: ClassVar = BrushNetOptions
    sd: StableDiffusion
    branch: BrushNetModel
    options: BrushNetOptions
    image_prompts: ImagePrompts | None = None

    @classmethod
    def load(cls, options: BrushNetOptions, runtime: Runtime) -> "BrushNet":
        """Load the base model, the branch and what is plugged into the base.

        Raises `UserError` for weights that can't be used, or a base and a branch that don't fit together.
        """
        sd = StableDiffusion.load(runtime, options.base, options.sampler or "unipc", sdxl=True, ema=options.ema)
        sd.check_channels("brushnet", CHANNELS)
        branch = load_model(BrushNetModel, runtime.weights.folder(PART, options.brushnet), PART, runtime)
        check_pair(branch, sd.unet)
        if options.lora:
            add_lora(sd, options.lora, options.lora_scale)
        prompts = None
        if options.ip_adapter and options.ip_adapter_image:
            scale = options.ip_adapter_scale
            prompts = ImagePrompts.plug_into(sd, options.ip_adapter, options.ip_adapter_image, scale)
        take_residuals(sd.unet)
        for model in (sd.unet, branch):
            compile_blocks(model, runtime)
        return cls(sd, branch, options, prompts)

    @property
    def side_multiple(self) -> int:
        """Pixels per latent; both sides of an image must be multiples of it."""
        return self.sd.factor

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint a batch. At each step the branch reads the masked image and adds its features to the UNet."""
        return self.inpaint(batch, self.sd.noise_source(seeds, batch))

    def inpaint(self, batch: Batch, noise: NoiseSource, after: After | None = None) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint a batch from this noise; `after` can change the latents after each step."""
        text = self.sd.encode_text(batch.captions, self.options.negative_prompt, self.options.guidance)
        if self.image_prompts:
            text = replace(text, images=self.image_prompts.encode(batch.ids, text.guidance))
        source = self.sd.placed(batch)
        known = self.sd.encode_image(to_unit(erase(source.images, source.masks)))
        condition = torch.cat([known, self.sd.to_latent_size(~source.masks)], dim=1)
        if text.pooled is not None:
            condition = condition.repeat(text.copies, 1, 1, 1)

        def predict(latents: Latents, step: Step) -> Latents:
            weight = self.options.weight_at(step)
            if weight == 0:
                return self.sd.guided_noise(latents, step, text)
            residuals = self._residuals(latents, step, condition, text, weight)
            with with_residuals(self.sd.unet, residuals) as unet:
                return self.sd.guided_noise(latents, step, text, unet)

        generated = self.sd.decode(self.sd.denoise(noise, self.options.steps, predict, after=after))
        return self.options.blended(generated, batch)

    def _residuals(
        self, latents: Latents, step: Step, condition: Float[Tensor, "m 5 h w"], text: EncodedText, weight: float
    ) -> Residuals:
        """The branch's features for both halves of the guidance.

        The halves share one pass through the branch, unless the branch reads the text, as SDXL's does.
        """
        added = self.sd.added_conditions(latents, text)
        read = latents.repeat(text.copies, 1, 1, 1) if added else latents
        residuals: Residuals = self.branch(read, step.time, condition, weight, added_cond_kwargs=added)
        return residuals


def check_pair(branch: BrushNetModel, unet: UNet2DConditionModel) -> None:
    """Raise `UserError` for a branch that is for another kind or size of UNet."""
    kinds = ["SDXL" if is_sdxl(model) else "Stable Diffusion 1.5" for model in (branch, unet)]
    if kinds[0] != kinds[1]:
        raise UserError(f"this BrushNet is for {kinds[0]}, the base model is {kinds[1]}")
    texts = [model.config.cross_attention_dim for model in (branch, unet)]
    if texts[0] != texts[1]:
        raise UserError(f"this BrushNet is for {family_of(texts[0])}, the base model is {family_of(texts[1])}")
    widths = [list(model.config.block_out_channels) for model in (branch, unet)]
    if widths[0] != widths[1]:
        raise UserError(f"this BrushNet is for a UNet of widths {widths[0]}, the base model has {widths[1]}")
    read = [model.config.projection_class_embeddings_input_dim for model in (branch, unet)]
    if read[0] != read[1]:
        raise UserError(f"this BrushNet reads {read[0]} values of text and size, the base model gives {read[1]}")
