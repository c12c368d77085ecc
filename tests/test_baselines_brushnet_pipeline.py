"""BrushNet as a pipeline of diffusers: the pictures of the method, and folders that both sides read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from peft import LoraConfig, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from PIL import Image
from torch import Tensor

import brushbench
from brushbench.baselines import BrushNetPipeline
from brushbench.baselines.brushnet import BrushNetModel
from brushbench.imaging.pictures import to_picture

STEPS = 3
Load = Callable[..., BrushNetPipeline]


@pytest.fixture(scope="module")
def batch() -> brushbench.Batch:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (2, 3, 64, 48), generator=generator, dtype=torch.uint8)
    masks = torch.zeros(2, 1, 64, 48, dtype=torch.bool)
    masks[0, :, 10:40, 5:30], masks[1, :, :, 30:] = True, True
    return brushbench.Batch(("a", "b"), images, masks, ("a red fox", "an old café"))


def pictures(batch: brushbench.Batch) -> tuple[list[Image.Image], list[Image.Image]]:
    images = [to_picture(image) for image in batch.images]
    return images, [Image.fromarray(mask[0].numpy().astype(np.uint8) * 255) for mask in batch.masks]


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def by_method(weights: Path, batch: brushbench.Batch, *seeds: int, **options: object) -> Tensor:
    method = brushbench.load_method(
        "brushnet", weights=weights, device="cpu", dtype="float32", **{"steps": STEPS} | options
    )
    return method(batch, seeds)


def by_pipeline(pipeline: BrushNetPipeline, batch: brushbench.Batch, *seeds: int, **more: object) -> Tensor:
    images, masks = pictures(batch)
    given = {"num_inference_steps": STEPS, "generator": generators(*seeds)} | more
    return levels(pipeline(list(batch.captions), images, masks, **given).images)


def levels(images: list[Image.Image]) -> Tensor:
    return torch.stack([torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) for image in images])


@pytest.fixture(scope="module")
def loaded(tiny_weights: Path) -> BrushNetPipeline:
    pipeline = BrushNetPipeline.from_pretrained(tiny_weights)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.parametrize(
    ("named", "options"),
    [
        ({}, {}),
        ({"guidance_scale": 1.0, "brushnet_conditioning_scale": 0.6}, {"guidance": 1.0, "scale": 0.6}),
        (
            {"negative_prompt": "blurred", "control_guidance_start": 0.3, "control_guidance_end": 0.9},
            {"negative_prompt": "blurred", "start": 0.3, "end": 0.9},
        ),
    ],
)
def test_it_makes_the_images_of_the_method(
    named: dict[str, object], options: dict[str, object], loaded: BrushNetPipeline, batch, tiny_weights: Path
) -> None:
    assert torch.equal(by_pipeline(loaded, batch, 7, 8, **named), by_method(tiny_weights, batch, 7, 8, **options))


def test_another_scheduler_is_used_as_it_is(loaded: BrushNetPipeline, batch, tiny_weights: Path) -> None:
    usual = loaded.scheduler
    loaded.scheduler = DDIMScheduler.from_config(usual.config)
    try:
        found = by_pipeline(loaded, batch, 1, 2)
    finally:
        loaded.scheduler = usual
    assert torch.equal(found, by_method(tiny_weights, batch, 1, 2, sampler="ddim"))
    assert not torch.equal(found, by_pipeline(loaded, batch, 1, 2))


def test_sdxl_too(sdxl_weights: Path, batch) -> None:
    pipeline = BrushNetPipeline.from_pretrained(sdxl_weights)
    pipeline.set_progress_bar_config(disable=True)
    assert torch.equal(by_pipeline(pipeline, batch, 7, 8), by_method(sdxl_weights, batch, 7, 8))


def test_a_saved_folder_loads_again_and_has_the_official_names(loaded: BrushNetPipeline, batch, tmp_path: Path) -> None:
    loaded.save_pretrained(tmp_path / "saved")
    index = json.loads((tmp_path / "saved" / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionBrushNetPipeline"
    assert index["brushnet"] == ["diffusers", "BrushNetModel"]
    assert index["scheduler"] == ["diffusers", "UniPCMultistepScheduler"]
    assert {"config.json", "diffusion_pytorch_model.safetensors"} == {
        file.name for file in (tmp_path / "saved" / "brushnet").iterdir()
    }
    again = BrushNetPipeline.from_pretrained(tmp_path / "saved")
    again.set_progress_bar_config(disable=True)
    assert torch.equal(by_pipeline(again, batch, 7, 8), by_pipeline(loaded, batch, 7, 8))


def test_a_saved_folder_keeps_its_scheduler(loaded: BrushNetPipeline, tmp_path: Path) -> None:
    loaded.save_pretrained(tmp_path / "saved")
    DDIMScheduler.from_config(loaded.scheduler.config).save_pretrained(tmp_path / "saved" / "scheduler")
    index = json.loads((tmp_path / "saved" / "model_index.json").read_text())
    index["scheduler"][1] = "DDIMScheduler"
    (tmp_path / "saved" / "model_index.json").write_text(json.dumps(index))
    assert isinstance(BrushNetPipeline.from_pretrained(tmp_path / "saved").scheduler, DDIMScheduler)


def test_the_folder_of_a_base_and_that_of_a_branch(
    loaded: BrushNetPipeline, batch, tmp_path: Path, tiny_weights: Path
) -> None:
    """A base as it is published, with a safety checker in its index, which is neither loaded nor needed."""
    loaded.save_pretrained(tmp_path / "base")
    shutil.move(tmp_path / "base" / "brushnet", tmp_path / "branch")
    index = json.loads((tmp_path / "base" / "model_index.json").read_text())
    del index["brushnet"]
    index |= {
        "_class_name": "StableDiffusionPipeline",
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
    }
    (tmp_path / "base" / "model_index.json").write_text(json.dumps(index))
    expected = by_pipeline(loaded, batch, 7, 8)
    branch = BrushNetModel.from_pretrained(tmp_path / "branch")
    for given in (tmp_path / "branch", str(tmp_path / "branch"), branch):
        pipeline = BrushNetPipeline.from_pretrained(tmp_path / "base", brushnet=given)
        pipeline.set_progress_bar_config(disable=True)
        assert torch.equal(by_pipeline(pipeline, batch, 7, 8), expected)
    with pytest.raises(ValueError, match="has no brushnet/; valid with a base model: brushnet=FOLDER"):
        BrushNetPipeline.from_pretrained(tmp_path / "base")


def test_one_image_goes_with_all_prompts_and_each_prompt_with_several_images(loaded: BrushNetPipeline, batch) -> None:
    image, mask = (each[0] for each in pictures(batch))
    expected = [
        by_pipeline(loaded, brushbench.Batch(("a",), batch.images[:1], batch.masks[:1], (caption,)), seed)[0]
        for caption, seed in (("a fox", 1), ("a fox", 2), ("a crow", 3), ("a crow", 4))
    ]
    found = loaded(
        ["a fox", "a crow"],
        image,
        mask,
        num_images_per_prompt=2,
        num_inference_steps=STEPS,
        generator=generators(1, 2, 3, 4),
    ).images
    assert (levels(found).int() - torch.stack(expected).int()).abs().max() <= 1


def test_arrays_and_tensors_are_the_same_images(loaded: BrushNetPipeline, batch) -> None:
    expected = by_pipeline(loaded, batch, 7, 8)
    given = {"num_inference_steps": STEPS, "generator": generators(7, 8), "output_type": "pt"}
    found = loaded(list(batch.captions), batch.images / 255, batch.masks.float(), **given).images
    assert torch.equal((found * 255).round().to(torch.uint8), expected)
    arrays = batch.images.permute(0, 2, 3, 1).numpy() / 255.0, batch.masks.permute(0, 2, 3, 1).numpy().astype(float)
    given |= {"generator": generators(7, 8), "output_type": "np", "return_dict": False}
    (found,) = loaded(list(batch.captions), *arrays, **given)
    assert found.shape == (2, 64, 48, 3)
    assert np.array_equal((found * 255).round(), expected.permute(0, 2, 3, 1).numpy())


def test_what_a_mask_covers_is_not_read(loaded: BrushNetPipeline, batch) -> None:
    other = torch.where(batch.masks, 255 - batch.images, batch.images)
    changed = brushbench.Batch(batch.ids, other, batch.masks, batch.captions)
    assert torch.equal(by_pipeline(loaded, changed, 7, 8), by_pipeline(loaded, batch, 7, 8))


def test_a_generator_goes_on_where_it_is(loaded: BrushNetPipeline, batch) -> None:
    one = brushbench.Batch(("a",), batch.images[:1], batch.masks[:1], ("a fox",))
    generator = torch.Generator().manual_seed(7)
    first, second = (by_pipeline(loaded, one, generator=generator) for _ in range(2))
    assert torch.equal(first, by_pipeline(loaded, one, 7))
    assert not torch.equal(first, second)


def test_a_callback_sees_and_changes_the_latents(loaded: BrushNetPipeline, batch) -> None:
    seen = []

    def callback(pipeline: BrushNetPipeline, step: int, time: Tensor, given: dict[str, Tensor]) -> dict[str, Tensor]:
        assert pipeline is loaded
        seen.append((step, int(time), tuple(given["latents"].shape)))
        return {"latents": torch.zeros_like(given["latents"])} if step == STEPS - 1 else {}

    found = by_pipeline(loaded, batch, 7, 8, callback_on_step_end=callback)
    assert [step for step, _, _ in seen] == [0, 1, 2]
    assert seen[0][1] > seen[-1][1]
    assert {shape for _, _, shape in seen} == {(2, 4, 8, 6)}
    assert torch.equal(found[0], found[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": ["a", "b", "c"]}, "2 images for 3 images; valid: 1 or 3"),
        ({"mask_image": Image.new("L", (40, 64))}, "the image is 64x48 and its mask 64x40; valid: one size"),
        ({"generator": generators(1)}, "1 generators for 2 images; valid: one, or 2"),
        ({"output_type": "latent"}, "output_type 'latent'; valid: pil, np, pt"),
        ({"control_guidance_start": 0.9, "control_guidance_end": 0.1}, "start=0.9 must be less than end=0.1"),
    ],
)
def test_arguments_that_do_not_go_together(
    change: dict[str, object], message: str, loaded: BrushNetPipeline, batch
) -> None:
    images, masks = pictures(batch)
    given = {"prompt": list(batch.captions), "image": images, "mask_image": masks}
    with pytest.raises((ValueError, brushbench.UserError), match=message):
        loaded(**given | change)


def test_lora_weights_are_loaded_as_into_any_pipeline(batch, tiny_weights: Path, tmp_path: Path) -> None:
    pipeline = BrushNetPipeline.from_pretrained(tiny_weights)
    pipeline.set_progress_bar_config(disable=True)
    plain = by_pipeline(pipeline, batch, 7, 8)
    adapter = inject_adapter_in_model(
        LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_v"]),
        UNet2DConditionModel.from_pretrained(tiny_weights / "unet"),
    )
    BrushNetPipeline.save_lora_weights(tmp_path, get_peft_model_state_dict(adapter))
    pipeline.load_lora_weights(tmp_path)
    found = by_pipeline(pipeline, batch, 7, 8)
    expected = by_method(tiny_weights, batch, 7, 8, lora=str(tmp_path))
    assert (found.int() - expected.int()).abs().max() <= 1
    assert not torch.equal(found, plain)


def test_a_unet_for_inpainting_is_refused(loaded: BrushNetPipeline) -> None:
    unet = UNet2DConditionModel.from_config(dict(loaded.unet.config) | {"in_channels": 9})
    with pytest.raises(ValueError, match="needs a UNet with 4 input channels, not 9"):
        BrushNetPipeline(**loaded.components | {"unet": unet})
