"""The references, one image at a time: diffusers' own pipeline, and BrushNet as the official script runs it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import CLIPTextModel, CLIPTokenizer

from brushbench.baselines.brushnet import BrushNetModel, with_residuals
from on_gpu.data import pictures_of, sample_of
from on_gpu.models import SCHEDULER
from on_gpu.setting import Record, Setting, timing_of

GUIDANCE = 7.5


def naive(setting: Setting, method: str) -> Iterator[Record]:
    """Time the references at batch 1, in the same way as the suite's methods."""
    call = _CALLS[method](setting, getattr(torch, setting.dtypes[0]))
    found = timing_of(setting, call).columns(setting, 1)
    yield {"method": method, "dtype": setting.dtypes[0], **found, "peak_gb": setting.peak_gb()}


# Any: models, a tokenizer and a scheduler.
def _parts(folder: Path, dtype: torch.dtype, device: str) -> dict[str, Any]:
    return {
        "unet": UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype).to(device),
        "vae": AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype).to(device),
        "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype).to(device),
        "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        "scheduler": PNDMScheduler.from_pretrained(folder / "scheduler"),
    }


def _stock_pipeline(setting: Setting, dtype: torch.dtype) -> Callable[[int], object]:
    """Run Stable Diffusion Inpainting in diffusers' pipeline, as in its documentation."""
    pipeline = StableDiffusionInpaintPipeline(
        **_parts(setting.folders.inpainting, dtype, setting.device),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    sample = sample_of(0, setting.size)
    image, mask = pictures_of(sample)
    sides = {"height": setting.size, "width": setting.size}
    return lambda steps: pipeline(sample.caption, image=image, mask_image=mask, num_inference_steps=steps, **sides)


def _official_loop(setting: Setting, dtype: torch.dtype) -> Callable[[int], object]:
    """Run BrushNet's pipeline: UniPC, the branch on both halves of the guidance, everything encoded for each image."""
    device, folder = setting.device, setting.folders.base
    parts = _parts(folder, dtype, device)
    unet, vae = parts["unet"], parts["vae"]
    branch = BrushNetModel.from_pretrained(folder / "brushnet", torch_dtype=dtype).to(device)
    sample, side = sample_of(0, setting.size), setting.size // 8

    @torch.inference_mode()
    def paint(steps: int) -> Tensor:
        texts = ["", sample.caption]
        ids = parts["tokenizer"](texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        text = parts["text_encoder"](ids.to(device)).last_hidden_state
        known = torch.where(sample.mask, -1.0, sample.image.float() / 127.5 - 1)[None].to(device, dtype)
        encoded = vae.encode(known).latent_dist.mode() * vae.config.scaling_factor
        kept = interpolate((~sample.mask[None]).float(), (side, side)).to(device, dtype)
        condition = torch.cat([encoded, kept], dim=1).repeat(2, 1, 1, 1)
        scheduler = UniPCMultistepScheduler.from_config(SCHEDULER)
        scheduler.set_timesteps(steps, device=device)
        latents = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(0)).to(device, dtype)
        for time in scheduler.timesteps:
            doubled = latents.repeat(2, 1, 1, 1)
            with with_residuals(unet, branch(doubled, time, condition)):
                noise = unet(doubled, time, text, return_dict=False)[0]
            negative, positive = noise.chunk(2)
            guided = negative + GUIDANCE * (positive - negative)
            latents = scheduler.step(guided, time, latents, return_dict=False)[0]
        pixels = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
        return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().byte().cpu()

    return paint


_CALLS = {"sd-inpainting": _stock_pipeline, "brushnet": _official_loop}
COMPARED = tuple(_CALLS)
