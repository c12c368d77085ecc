"""ControlNet inpainting against diffusers' own pipeline."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, UNet2DConditionModel
from diffusers.utils import logging

import brushbench
from brushbench.core.types import Batch

SEEDS = [3, 4]


@pytest.fixture
def batch(write_bench) -> Batch:
    dataset = brushbench.load_dataset("brushbench", root=write_bench(count=2))
    return Batch.of(list(dataset))


@pytest.fixture(scope="module")
def weights(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 1.5 in miniature with a ControlNet whose last convolutions are not zero."""
    folder = tmp_path_factory.mktemp("controlnet") / "weights"
    shutil.copytree(tiny_weights, folder, ignore=shutil.ignore_patterns("brushnet"))
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 16, 24, 32))
        zero = [block.weight for block in [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]]
        for weight in [*zero, controlnet.controlnet_cond_embedding.conv_out.weight]:
            torch.nn.init.normal_(weight, std=0.1)
    controlnet.save_pretrained(folder / "controlnet")
    return folder


@pytest.mark.parametrize(
    ("guidance", "scale", "start", "end"),
    [(7.5, 1.0, 0.0, 1.0), (1.0, 1.0, 0.0, 1.0), (3.0, 0.5, 0.0, 1.0), (3.0, 1.0, 0.25, 0.75)],
)
def test_it_equals_the_pipeline_of_diffusers(
    guidance: float, scale: float, start: float, end: float, batch: Batch, weights: Path
) -> None:
    logging.disable_progress_bar()
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(
        weights,
        controlnet=ControlNetModel.from_pretrained(weights / "controlnet"),
        dtype=torch.float32,
        safety_checker=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    noise = [torch.randn(1, 4, 8, 8, generator=torch.Generator("cpu").manual_seed(seed)) for seed in SEEDS]
    images = batch.images.float() / 255
    expected = pipeline(
        prompt=list(batch.captions),
        image=images.masked_fill(batch.masks, -1.0),
        num_inference_steps=4,
        guidance_scale=guidance,
        controlnet_conditioning_scale=scale,
        control_guidance_start=start,
        control_guidance_end=end,
        latents=torch.cat(noise),
        output_type="pt",
    ).images

    options = {"steps": 4, "guidance": guidance, "scale": scale, "start": start, "end": end}
    method = brushbench.load_method("controlnet", weights=weights, device="cpu", dtype="float32", **options)
    painted = method(batch, SEEDS)
    assert ((expected * 255).round() - painted).abs().max() <= 1
    unheeded = brushbench.load_method(
        "controlnet", weights=weights, device="cpu", dtype="float32", **options | {"scale": 0.0}
    )
    assert (unheeded(batch, SEEDS).int() - painted.int()).abs().max() > 1


def test_a_batch_is_its_samples_and_blending_keeps_the_known_pixels(batch: Batch, weights: Path) -> None:
    method = brushbench.load_method("controlnet", weights=weights, device="cpu", dtype="float32", steps=2)
    together = method(batch, SEEDS)
    for place, seed in enumerate(SEEDS):
        one = Batch(
            batch.ids[place : place + 1],
            batch.images[place : place + 1],
            batch.masks[place : place + 1],
            batch.captions[place : place + 1],
        )
        assert (method(one, [seed]).int() - together[place : place + 1].int()).abs().max() <= 1
    pasted = brushbench.load_method(
        "controlnet", weights=weights, device="cpu", dtype="float32", steps=2, blend="paste"
    )(batch, SEEDS)
    assert torch.equal(pasted, torch.where(batch.masks, together, batch.images))


def test_parts_that_do_not_fit(weights: Path, inpainting_weights: Path) -> None:
    with pytest.raises(brushbench.UserError, match="this ControlNet is for a UNet of input channels"):
        brushbench.load_method("controlnet", weights=weights, base=inpainting_weights, device="cpu")
    with pytest.raises(brushbench.UserError, match="controlnet"):
        brushbench.load_method("controlnet", weights=inpainting_weights, device="cpu")
