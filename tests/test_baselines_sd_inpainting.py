"""SD Inpainting against diffusers' own pipeline."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionInpaintPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.utils import logging

import brushbench
from brushbench.core.types import Batch


@pytest.fixture
def batch(write_bench) -> Batch:
    dataset = brushbench.load_dataset("brushbench", root=write_bench(count=2))
    return Batch.of(list(dataset))


@pytest.mark.parametrize(("guidance", "negative"), [(7.5, ""), (3.0, "ugly, blurry"), (1.0, "")])
def test_it_equals_the_pipeline_of_diffusers(
    guidance: float, negative: str, batch: Batch, inpainting_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    logging.disable_progress_bar()
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(
        inpainting_weights, dtype=torch.float32, safety_checker=None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    assert isinstance(pipeline.vae, AutoencoderKL)
    seeds = [3, 4]
    noise = [torch.randn(1, 4, 8, 8, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds]
    expected = pipeline(
        prompt=list(batch.captions),
        negative_prompt=[negative] * 2 if guidance > 1 else None,
        image=batch.images.float() / 255,
        mask_image=batch.masks.float(),
        height=64,
        width=64,
        num_inference_steps=4,
        guidance_scale=guidance,
        latents=torch.cat(noise),
        output_type="pt",
    ).images

    method = brushbench.load_method(
        "sd-inpainting",
        weights=inpainting_weights,
        device="cpu",
        dtype="float32",
        steps=4,
        guidance=guidance,
        negative_prompt=negative,
    )
    images = method(batch, seeds)
    assert ((expected * 255).round() - images).abs().max() <= 1


def test_a_unet_of_four_channels_is_refused(tiny_weights: Path) -> None:
    with pytest.raises(brushbench.UserError, match="needs a UNet with 9 input channels; this one has 4"):
        brushbench.load_method("sd-inpainting", weights=tiny_weights, device="cpu")
