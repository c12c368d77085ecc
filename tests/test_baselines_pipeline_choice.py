"""Which class of diffusers a folder is called with, which arguments it gets, and what a run tells about it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers import ControlNetUnionModel, StableDiffusionInpaintPipeline
from PIL import Image
from pipeline_calls import by_hand, called, change_index, opened
from pipeline_cases import CASES
from support import assert_one_line, run_on
from tiny_pipelines import Folders

import brushbench as suite
from brushbench.baselines.pipeline_call import call_of
from brushbench.baselines.pipeline_choice import inpainting_class
from brushbench.baselines.pipeline_folder import Index
from brushbench.core.notes import collecting
from brushbench.core.types import Batch, Sample

ROOT = Path(__file__).parent.parent
Brushbench = Callable[..., tuple[int, str, str]]


def test_the_page_is_what_the_installed_diffusers_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    import pipelines as script

    page = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
    if f"diffusers {diffusers.__version__} " not in page:
        pytest.skip("the page is about another version of diffusers")
    assert page == script.page()
    assert script.running_classes() == set(CASES)
    assert "36 of 46 run" in page
    assert "not tested" not in page


class RenamedPipeline(StableDiffusionInpaintPipeline):
    """Takes the same as its base, under other names."""

    def __call__(
        self, prompt: str, images: list[Image.Image], mask: Image.Image, num_inference_steps: int = 50, **keywords: Any
    ) -> Any:
        (image,) = images
        keywords |= {"height": image.height, "width": image.width, "num_inference_steps": num_inference_steps}
        return super().__call__(prompt, image, mask, **keywords)


class UnusualPipeline(StableDiffusionInpaintPipeline):
    """Takes the image under a name that says nothing."""

    def __call__(self, prompt: str, canvas: Image.Image, mask_image: Image.Image) -> Any:
        raise NotImplementedError


def test_a_class_that_nothing_is_known_about_is_called_by_its_parameters_names(
    changed_pipeline: Folders, pipelines: Folders, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusers, "RenamedPipeline", RenamedPipeline, raising=False)
    folder = changed_pipeline("sd-inpainting")
    change_index(folder, _class_name="RenamedPipeline")
    method = opened(folder, steps=3).call
    assert type(method.pipeline) is RenamedPipeline
    expected = called(by_hand(pipelines("sd-inpainting")), samples[0], 1)
    assert torch.equal(method(Batch.of(samples[:1]), [1])[0].int(), expected)


def test_a_class_with_other_names_is_refused_in_one_line(
    changed_pipeline: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusers, "UnusualPipeline", UnusualPipeline, raising=False)
    folder = changed_pipeline("sd-inpainting")
    change_index(folder, _class_name="UnusualPipeline")
    message = "UnusualPipeline can't inpaint: UnusualPipeline takes no image; valid: a pipeline that takes an image, a"
    with pytest.raises(suite.UserError, match=message):
        opened(folder)


CHOICES = {
    # Class of the folder, class of the ControlNet, and the class that is called.
    "diffusers' own choice": ("StableDiffusionXLPipeline", None, "StableDiffusionXLInpaintPipeline"),
    "itself": ("FluxFillPipeline", None, "FluxFillPipeline"),
    "by its name": ("ChromaPipeline", None, "ChromaInpaintPipeline"),
    "an editor": ("FluxKontextPipeline", None, "FluxKontextPipeline"),
    "an editor with a choice": ("QwenImageEditPipeline", None, "QwenImageEditInpaintPipeline"),
    "control": ("FluxControlPipeline", None, "FluxControlInpaintPipeline"),
    "controlnet inside": ("ZImageControlNetPipeline", None, "ZImageControlNetInpaintPipeline"),
    "SD 3": (
        "StableDiffusion3Pipeline",
        "SD3ControlNetModel",
        "StableDiffusion3ControlNetInpaintingPipeline",
    ),
    "FLUX": ("FluxInpaintPipeline", "FluxControlNetModel", "FluxControlNetInpaintPipeline"),
    "Qwen-Image": ("QwenImagePipeline", "QwenImageControlNetModel", "QwenImageControlNetInpaintPipeline"),
    "another kind of ControlNet": (
        "StableDiffusionXLControlNetPipeline",
        "ControlNetUnionModel",
        "StableDiffusionXLControlNetUnionInpaintPipeline",
    ),
}


@pytest.mark.parametrize("why", CHOICES)
def test_the_class_that_a_folder_leads_to(why: str, tmp_path: Path) -> None:
    named, control, expected = CHOICES[why]
    assert inpainting_class(Index(tmp_path, named, {}, {}), control=control).__name__ == expected


def test_a_class_that_is_not_known_to_edit_is_not_taken_for_one(tmp_path: Path) -> None:
    valid = "a pipeline that takes an image, .*; or -o pipeline=Flux2Pipeline, which gets no mask$"
    with pytest.raises(suite.UserError, match=f"Flux2Pipeline takes no mask_image; valid: {valid}"):
        inpainting_class(Index(tmp_path, "Flux2Pipeline", {}, {}))
    index = Index(tmp_path, "Flux2Pipeline", {}, {})
    assert inpainting_class(index, "Flux2Pipeline").__name__ == "Flux2Pipeline"


NAMES = {
    "sd": ("sd-controlnet", "StableDiffusionControlNetInpaintPipeline"),
    "sd-inpainting": ("sd-controlnet", "StableDiffusionControlNetInpaintPipeline"),
    "sdxl": ("sdxl-controlnet", "StableDiffusionXLControlNetInpaintPipeline"),
    "sdxl, of many kinds": ("sdxl-union", "StableDiffusionXLControlNetUnionInpaintPipeline"),
    "z-image": ("z-image-controlnet", "ZImageControlNetInpaintPipeline"),
}


@pytest.mark.parametrize("model", NAMES)
def test_a_controlnet_leads_to_the_pipeline_that_inpaints_with_it(model: str, pipelines: Folders) -> None:
    controlnet, name = NAMES[model]
    method = opened(pipelines(model.removesuffix(", of many kinds")), controlnet=pipelines(controlnet))
    assert type(method.call.pipeline).__name__ == name
    assert "controlnet" in method.digests
    assert method.options["controlnet"] == str(pipelines(controlnet))


def test_a_folder_with_a_controlnet_in_it(pipelines: Folders, tmp_path: Path, samples: list[Sample]) -> None:
    outside = opened(pipelines("qwen"), controlnet=pipelines("qwen-controlnet"), steps=1)
    outside.call.pipeline.save_pretrained(tmp_path / "whole")
    change_index(tmp_path / "whole", _class_name="QwenImageControlNetPipeline")
    inside = opened(tmp_path / "whole", steps=1)
    assert type(inside.call.pipeline) is type(outside.call.pipeline)
    assert "controlnet" in inside.digests
    batch = Batch.of(samples[:1])
    assert torch.equal(inside.call(batch, [1]), outside.call(batch, [1]))


def test_a_controlnet_changes_the_image_by_its_scale(pipelines: Folders, samples: list[Sample]) -> None:
    batch = Batch.of(samples[:1])
    images = {
        scale: opened(pipelines("sd"), controlnet=pipelines("sd-controlnet"), steps=2, controlnet_scale=scale).call(
            batch, [1]
        )
        for scale in (0.0, 0.5, 1.0)
    }
    assert not torch.equal(images[0.0], images[0.5])
    assert not torch.equal(images[0.5], images[1.0])
    assert torch.equal(images[0.0], opened(pipelines("sd"), steps=2).call(batch, [1]))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.blank])
def test_nothing_below_the_mask_is_in_the_control_image(name: str, samples: list[Sample]) -> None:
    batch = Batch.of(samples[:1])
    other = torch.where(batch.masks, 255 - batch.images, batch.images)
    call = call_of(getattr(diffusers, name))
    both = [call.inputs(batch.captions, images, batch.masks)["control_image"] for images in (batch.images, other)]
    first, second = (each[0] if isinstance(each, list) else each for each in both)
    assert torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


def test_an_editor_gets_no_mask(pipelines: Folders, samples: list[Sample]) -> None:
    with collecting() as notes:
        method = opened(pipelines("flux-kontext"), steps=1).call
    assert notes == ["FluxKontextPipeline takes no mask: it edited whole images, and only the metrics use the masks"]
    sample = samples[0]
    turned = Sample(sample.id, sample.image, ~sample.mask, sample.caption)
    assert torch.equal(method(Batch.of([sample]), [1]), method(Batch.of([turned]), [1]))


def test_any_class_without_a_mask_has_to_be_named(pipelines: Folders) -> None:
    inpainting = opened(pipelines("sd")).call.pipeline
    assert type(inpainting).__name__ == "StableDiffusionInpaintPipeline"
    with collecting() as notes:
        method = opened(pipelines("sd"), pipeline="StableDiffusionImg2ImgPipeline")
    assert type(method.call.pipeline).__name__ == "StableDiffusionImg2ImgPipeline"
    assert notes
    assert method.options["pipeline"] == "StableDiffusionImg2ImgPipeline"
    assert "pipeline" not in opened(pipelines("sd")).options


REFUSED = {
    "no class": ("sd", {"pipeline": "Nothing"}, "option pipeline='Nothing' is not a pipeline of diffusers; valid: "),
    "model": ("sd", {"pipeline": "AutoencoderKL"}, "option pipeline='AutoencoderKL' is not a pipeline of diffusers"),
    "videos": ("sd", {"pipeline": "WanPipeline"}, "option pipeline='WanPipeline' can't inpaint: WanPipeline makes vid"),
    "no image": ("sd", {"pipeline": "FluxPipeline"}, "can't inpaint: FluxPipeline takes no image; valid: a pipeline"),
    "components": ("sd", {"pipeline": "FluxFillPipeline"}, "has no 'text_encoder_2', which FluxFillPipeline needs"),
    "mode": ("sd", {"control_mode": 1}, "option control_mode=1: StableDiffusionInpaintPipeline does not accept it"),
    "scale": ("sd", {"controlnet_scale": 0.5}, r"option controlnet_scale=0\.5: StableDiffusionInpaintPipeline does no"),
    "negative mode": ("sd", {"control_mode": -1}, "option control_mode=-1 of diffusers"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_choices_that_lead_nowhere(why: str, pipelines: Folders) -> None:
    kind, options, message = REFUSED[why]
    with pytest.raises(suite.UserError, match=message):
        opened(pipelines(kind), **options)


def test_controlnets_that_do_not_fit(pipelines: Folders, changed_pipeline: Folders, tmp_path: Path) -> None:
    controlnet = pipelines("sd-controlnet")
    with pytest.raises(suite.UserError, match=r"its config\.json names no ControlNet of diffusers"):
        opened(pipelines("sd"), controlnet=pipelines("sd") / "unet")
    with pytest.raises(suite.UserError, match="StableDiffusionInpaintPipeline has none"):
        opened(pipelines("sd"), controlnet=controlnet, pipeline="StableDiffusionInpaintPipeline")
    folder = changed_pipeline("sd")
    change_index(folder, _class_name="PixArtAlphaPipeline")
    with pytest.raises(suite.UserError, match="no ControlNetModel for inpainting with PixArtAlphaPipeline"):
        opened(folder, controlnet=controlnet)
    union = ControlNetUnionModel.from_pretrained(pipelines("sdxl-union"))
    ControlNetUnionModel.from_config(union.config, num_control_type=6).save_pretrained(tmp_path / "six")
    with pytest.raises(suite.UserError, match="control_mode=7: this ControlNet reads 6 kinds of pictures; valid: -o"):
        opened(pipelines("sdxl"), controlnet=tmp_path / "six")
    assert opened(pipelines("sdxl"), controlnet=tmp_path / "six", control_mode=5).options["control_mode"] == 5


def test_a_run_says_that_the_mask_was_not_given(
    brushbench: Brushbench, tmp_path: Path, write_bench, pipelines: Folders
) -> None:
    runs = tmp_path / "runs"
    options = ("--steps", "1", "--device", "cpu", "-o", f"model={pipelines('flux-kontext')}")
    code, out, err = brushbench(*run_on(write_bench(count=2), runs, *options, method="diffusers"))
    assert code == 0, err
    text = "FluxKontextPipeline takes no mask: it edited whole images, and only the metrics use the masks"
    assert text in out
    record = json.loads((runs / "brushbench-inside/diffusers/run.json").read_text())
    assert text in record["notes"]
    code, out, err = brushbench("report", runs, "--format", "markdown")
    assert code == 0, err
    assert f"diffusers: {text}" in out
    # The known region is reported as it is.
    assert "known" in out


def test_a_run_says_which_images_were_resized(
    brushbench: Brushbench, tmp_path: Path, write_bench, pipelines: Folders
) -> None:
    runs = tmp_path / "runs"
    options = ("--steps", "2", "--device", "cpu", "-o", f"model={pipelines('if')}")
    code, _, err = brushbench(*run_on(write_bench(count=2), runs, *options, method="diffusers"))
    assert code == 0, err
    _, out, _ = brushbench("report", runs, "--format", "markdown")
    assert "diffusers, inside: 2 samples: generated at 32x32, then resized to 64x64" in out


def test_a_wrong_class_is_one_line(brushbench: Brushbench, tmp_path: Path, write_bench, pipelines: Folders) -> None:
    options = ("-o", f"model={pipelines('sd')}", "-o", "pipeline=WanPipeline")
    result = brushbench(*run_on(write_bench(), tmp_path / "runs", *options, method="diffusers"))
    assert_one_line(result, "option pipeline='WanPipeline' can't inpaint: WanPipeline makes videos")
    assert not (tmp_path / "runs").exists()
