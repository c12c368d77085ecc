"""Folders of pipelines: what is read of them, recorded, and refused, and where else a pipeline can come from."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hub_server import Hub, Served, use_hub
from pipeline_calls import by_hand, called, change_index, opened
from safetensors.torch import load_file, save_file
from support import assert_one_line, run_on
from tiny_pipelines import Folders

import brushbench as suite
from brushbench.core.types import Batch, Sample
from brushbench.evaluation.methods import open_method


def test_digests_are_those_of_the_files_that_are_used(changed_pipeline: Folders, pipelines: Folders) -> None:
    original = opened(pipelines("sd-inpainting")).digests
    assert set(original) == {"pipeline", "scheduler", "text_encoder", "tokenizer", "unet", "vae"}
    folder = changed_pipeline("sd-inpainting")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"not used")
    assert opened(folder).digests == original
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors["conv_out.bias"] += 0.5
    save_file(tensors, file)
    scheduler = folder / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("scaled_linear", "linear"))
    assert {name for name, digest in opened(folder).digests.items() if digest != original[name]} == {
        "scheduler",
        "unet",
    }


def test_kandinsky_s_first_half_is_part_of_its_identity(pipelines: Folders) -> None:
    digests = opened(pipelines("kandinsky"), prior=pipelines("kandinsky-prior")).digests
    assert {"movq", "prior_prior", "prior_tokenizer", "prior_image_processor"} <= set(digests)


def test_several_files_and_a_variant(pipelines: Folders, tmp_path: Path, samples: list[Sample]) -> None:
    pipeline = by_hand(pipelines("sd-inpainting"))
    pipeline.save_pretrained(tmp_path / "plain", max_shard_size="40KB")
    assert len(list((tmp_path / "plain" / "unet").glob("*-of-*.safetensors"))) > 1
    pipeline.save_pretrained(tmp_path / "half", variant="fp16")
    expected = called(pipeline, samples[0], 1)
    for folder, options in ((tmp_path / "plain", {}), (tmp_path / "half", {"variant": "fp16"})):
        method = opened(folder, steps=3, **options).call
        assert torch.equal(method(Batch.of(samples[:1]), [1])[0].int(), expected)
    # Where there are only such files they are taken, and that is said.
    half = opened(tmp_path / "half", steps=3)
    assert "text_encoder, unet, vae from fp16 files" in half.origin
    assert torch.equal(half.call(Batch.of(samples[:1]), [1])[0].int(), expected)
    with pytest.raises(suite.UserError, match=r"variant=fp16: .*plain has no weights of this variant"):
        opened(tmp_path / "plain", variant="fp16")


def lose_tensor(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if name != "conv_out.bias"}, file)


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


INDEX = "model_index.json"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda root: (root / INDEX).unlink(), "has no model_index.json"),
    "no object": (lambda root: (root / INDEX).write_text("[]"), "must be a JSON object whose _class_name"),
    "not json": (lambda root: (root / INDEX).write_text("{"), "must be a JSON object whose _class_name"),
    "component": (lambda root: shutil.rmtree(root / "vae"), "has no vae/ folder"),
    "tensor": (lose_tensor, "unet: the checkpoint lacks conv_out.bias"),
    "scheduler": (
        lambda root: (root / "scheduler/scheduler_config.json").write_text("{"),
        "scheduler: can't be loaded",
    ),
    "vocabulary": (
        lambda root: empty(root / "tokenizer"),
        "tokenizer: no vocab.json with merges.txt, and no tokenizer.json",
    ),
}
ENTRIES: dict[str, tuple[dict[str, object], str]] = {
    "remote class": ({"_class_name": ["pipeline", "Mine"]}, "must be a JSON object whose _class_name"),
    "unknown class": ({"_class_name": "Mine"}, "'Mine' is not a pipeline of diffusers"),
    "model class": ({"_class_name": "AutoencoderKL"}, "'AutoencoderKL' is not a pipeline of diffusers"),
    "no inpainting": (
        {"_class_name": "PixArtAlphaPipeline"},
        "PixArtAlphaPipeline can't inpaint: PixArtAlphaPipeline takes no image and no mask_image",
    ),
    "control": (
        {"_class_name": "StableDiffusionControlNetPipeline"},
        "has no 'controlnet', which StableDiffusionControlNetInpaintPipeline needs; valid: -o controlnet=FOLDER",
    ),
    "no mask": (
        {"_class_name": "SanaSprintImg2ImgPipeline"},
        "SanaSprintImg2ImgPipeline takes no mask_image; valid: a pipeline that takes an image, a mask and a prompt",
    ),
    "videos": ({"_class_name": "WanPipeline"}, "WanPipeline can't inpaint: WanPipeline makes videos; valid:"),
    "another call before": (
        {"_class_name": "StableDiffusionDiffEditPipeline"},
        "StableDiffusionDiffEditPipeline needs the image inverted by a call of its method `invert` before; valid:",
    ),
    "other model": (
        {"_class_name": "StableDiffusionXLPipeline"},
        "has no 'text_encoder_2', which StableDiffusionXLInpaintPipeline needs",
    ),
    "code": ({"unet": ["mine", "UNet"]}, "unet is mine.UNet, not a component"),
    "function": ({"unet": ["diffusers", "utils"]}, "unet is diffusers.utils, not a component"),
}
"""Wrong entries of `model_index.json`, and their errors."""


@pytest.mark.parametrize("how", [*DAMAGES, *ENTRIES])
def test_folders_with_one_thing_wrong(
    how: str, brushbench, changed_pipeline: Folders, tmp_path: Path, write_bench
) -> None:
    folder = changed_pipeline("sd")
    if how in ENTRIES:
        entries, part = ENTRIES[how]
        change_index(folder, **entries)
    else:
        damage, part = DAMAGES[how]
        damage(folder)
    command = run_on(write_bench(), tmp_path / "runs", "-o", f"model={folder}", method="diffusers")
    assert_one_line(brushbench(*command), part)
    assert not (tmp_path / "runs").exists()


def test_models_that_are_nowhere(
    brushbench, tmp_path: Path, write_bench, pipelines: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    command = run_on(write_bench(), tmp_path / "runs", method="diffusers")
    assert_one_line(brushbench(*command), "have no 'model' for diffusers; valid: -o model=FOLDER, or a hub id")
    assert_one_line(brushbench(*command, "-o", "model=nowhere"), "model=nowhere: no such folder, and not a hub id")
    assert_one_line(
        brushbench(*command, "-o", "model=somebody/something"),
        "model: somebody/something is not on this machine and can't be downloaded",
    )
    kandinsky = [*command, "-o", f"model={pipelines('kandinsky')}"]
    assert_one_line(brushbench(*kandinsky, "-o", "prior=some/prior"), "prior: some/prior is not on this machine")


def test_the_folder_may_be_given_as_weights(pipelines: Folders, samples: list[Sample]) -> None:
    batch = Batch.of(samples[:1])
    options = {"device": "cpu", "steps": 1}
    images = suite.load_method("diffusers", weights=pipelines("sd"), **options)(batch, [1])
    assert torch.equal(images, suite.load_method("diffusers", model=pipelines("sd"), **options)(batch, [1]))
    other = suite.load_method("diffusers", weights=pipelines("sd"), model=pipelines("sd-inpainting"), **options)
    assert other.pipeline.unet.config.in_channels == 9
    with pytest.raises(suite.UserError, match="revision=main has no effect here"):
        suite.load_method("diffusers", weights=pipelines("sd"), revision="main", **options)


FAMILY = """
summary = "one model"
defaults = {steps = 2}
[components.mine]
source = "SOURCE"
licence = "none"
citation = "none"
[methods.diffusers]
model = "mine"
"""


def test_a_family_of_one_s_own_may_name_the_model(pipelines: Folders, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FAMILY.replace("SOURCE", str(pipelines("sd"))))
    method = open_method("diffusers", weights=tmp_path / "mine.toml", device="cpu", dtype="float32", options={})
    assert method.options["steps"] == 2
    assert method.digests == opened(pipelines("sd")).digests


def test_a_family_s_defaults_are_for_the_family_s_models(pipelines: Folders) -> None:
    options = {"model": pipelines("sd")}
    method = open_method("diffusers", weights="papercut", device="cpu", dtype="float32", options=options)
    assert (method.options["steps"], method.options["guidance"]) == (None, None)
    assert method.origin == str(pipelines("sd"))


def test_a_variant_is_downloaded_where_there_is_one(
    pipelines: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Callable[..., Hub]
) -> None:
    folder, cache = tmp_path / "hub", tmp_path / "cache"
    by_hand(pipelines("sd-inpainting")).save_pretrained(folder)
    by_hand(pipelines("sd-inpainting")).save_pretrained(folder, variant="fp16")
    (folder / "text_encoder" / "model.fp16.safetensors").unlink()
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "config.json").write_text("{}")
    (folder / "safety_checker" / "model.safetensors").write_bytes(b"never downloaded")
    use_hub(monkeypatch, hub({"tiny/sd": Served(folder, commit="c" * 40)}), cache)
    method = opened("tiny/sd", variant="fp16", revision="c" * 40)
    assert method.origin == "tiny/sd"
    assert {"/".join(file.parts[-2:]) for file in cache.rglob("*.safetensors")} == {
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    }
    shutil.rmtree(cache)
    opened("tiny/sd")
    assert not list(cache.rglob("*fp16*"))
