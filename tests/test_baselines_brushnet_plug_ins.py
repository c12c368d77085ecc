"""LoRA weights and IP-Adapters on BrushNet's base model, against diffusers' own pipelines on tiny models."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from PIL import Image
from published import adapter_folder
from safetensors.torch import load_file, save_file
from support import Touch, assert_one_line, run_on
from torch import Tensor
from transformers import CLIPTextModel

import brushbench
from brushbench.core.types import Batch, Sample

CAPTION = "a photo of a cat"
SEED = 5
ATTENTION = {
    "unet": ["to_q", "to_k", "to_v", "to_out.0"],
    "text_encoder": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1"],
}


@pytest.fixture(scope="module")
def lora(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `save_lora_weights` makes it: random weights for UNet and text encoder."""
    folder = tmp_path_factory.mktemp("lora")
    tensors = {}
    for part, cls in (("unet", UNet2DConditionModel), ("text_encoder", CLIPTextModel)):
        adapted = with_lora(cls.from_pretrained(tiny_weights / part), part)
        tensors[part] = get_peft_model_state_dict(adapted)
    StableDiffusionPipeline.save_lora_weights(
        folder, unet_lora_layers=tensors["unet"], text_encoder_lora_layers=tensors["text_encoder"]
    )
    return folder


def with_lora(model: torch.nn.Module, part: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=4, init_lora_weights=False, target_modules=ATTENTION[part])
    return inject_adapter_in_model(config, model, "default")


@pytest.fixture(scope="module")
def adapter(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the published one: a random adapter for the tiny UNet, and an image encoder beside it."""
    return adapter_folder(tiny_weights, tmp_path_factory.mktemp("adapter"), "ip-adapter_sd15")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("picture") / "like this.png"
    noise = torch.randint(256, (40, 56, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    Image.fromarray(noise.numpy()).save(file)
    return file


def pipeline(weights: Path) -> StableDiffusionPipeline:
    made = StableDiffusionPipeline.from_pretrained(weights, safety_checker=None, requires_safety_checker=False)
    made.scheduler = DPMSolverMultistepScheduler.from_config(made.scheduler.config)
    made.set_progress_bar_config(disable=True)
    return made


def expected(made: StableDiffusionPipeline, **keywords: object) -> Tensor:
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator("cpu").manual_seed(SEED))
    size = {"height": 64, "width": 64}
    asked = {"prompt": CAPTION, "num_inference_steps": 2, "guidance_scale": 4.0, "latents": noise, "output_type": "pt"}
    return made(**asked, **size, **keywords).images


def unguided(weights: Path, ids: tuple[str, ...] = ("cat",), **options: object) -> Tensor:
    """BrushNet without its branch: what the base model paints by itself."""
    images, masks = torch.zeros(len(ids), 3, 64, 64, dtype=torch.uint8), torch.ones(len(ids), 1, 64, 64).bool()
    asked = {"steps": 2, "guidance": 4.0, "scale": 0.0, "sampler": "dpm++"} | options
    method = brushbench.load_method("brushnet", weights=weights, device="cpu", dtype="float32", **asked)
    return method(Batch(ids, images, masks, (CAPTION,) * len(ids)), [SEED] * len(ids)) / 255


def test_lora_weights_of_the_unet_do_what_they_do_in_diffusers(lora: Path, tiny_weights: Path, tmp_path: Path) -> None:
    tensors = load_file(lora / "pytorch_lora_weights.safetensors")
    file = tmp_path / "style.safetensors"
    save_file({name: tensor for name, tensor in tensors.items() if name.startswith("unet.")}, file)
    reference = pipeline(tiny_weights)
    plain = expected(reference)
    reference.load_lora_weights(file, adapter_name="style")
    reference.set_adapters(["style"], [0.7])
    there = expected(reference)
    assert (there - plain).abs().max() > 0.05
    here = unguided(tiny_weights, lora=file, lora_scale=0.7)
    assert (here - there).abs().max() <= 1 / 255
    assert (unguided(tiny_weights, lora=file, lora_scale=0) - plain).abs().max() <= 1 / 255


def test_lora_weights_of_both_models_are_used(lora: Path, tiny_weights: Path) -> None:
    reference = pipeline(tiny_weights)
    plain = expected(reference)
    with_lora(reference.text_encoder, "text_encoder")
    half = expected(reference)
    with_lora(reference.unet, "unet")
    there = expected(reference)
    assert min((half - plain).abs().max(), (there - half).abs().max()) > 0.05
    assert (unguided(tiny_weights, lora=lora) - there).abs().max() <= 1 / 255


def test_a_file_that_says_how_it_was_made_is_taken_at_its_word(lora: Path, tiny_weights: Path, tmp_path: Path) -> None:
    """An alpha of twice the rank doubles the change."""
    tensors = load_file(lora / "pytorch_lora_weights.safetensors")
    for part, targets in ATTENTION.items():
        kept = {name: tensor for name, tensor in tensors.items() if name.startswith(f"{part}.")}
        said = LoraConfig(r=4, lora_alpha=8, target_modules=targets).to_dict()
        said = {f"{part}.{key}": sorted(value) if isinstance(value, set) else value for key, value in said.items()}
        file = tmp_path / f"{part}.safetensors"
        save_file(kept, file, {"format": "pt", "lora_adapter_metadata": json.dumps(said)})
        save_file(kept, tmp_path / "plain.safetensors")
        there = unguided(tiny_weights, lora=tmp_path / "plain.safetensors", lora_scale=2)
        assert (unguided(tiny_weights, lora=file) - there).abs().max() <= 1 / 255


def test_kohyas_names_are_read_too(lora: Path, tiny_weights: Path, tmp_path: Path) -> None:
    """Written as the tools of model-sharing sites do, with an alpha that halves the weights."""
    tensors = {}
    for name, tensor in load_file(lora / "pytorch_lora_weights.safetensors").items():
        part, _, rest = name.partition(".")
        place, kind = rest.rsplit(".lora", 1)
        text = "text_model." if part == "text_encoder" and not place.startswith("text_model.") else ""
        base = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part] + (text + place).replace(".", "_")
        tensors[f"{base}.lora_{'down' if 'down' in kind or '_A' in kind else 'up'}.weight"] = tensor
        tensors[f"{base}.alpha"] = torch.tensor(2.0)
    save_file(tensors, tmp_path / "kohya.safetensors")
    there = unguided(tiny_weights, lora=lora, lora_scale=0.5)
    assert (unguided(tiny_weights, lora=tmp_path / "kohya.safetensors") - there).abs().max() <= 1 / 255


def test_an_ip_adapter_does_what_it_does_in_diffusers(adapter: Path, picture: Path, tiny_weights: Path) -> None:
    reference = pipeline(tiny_weights)
    plain = expected(reference)
    reference.load_ip_adapter(str(adapter), subfolder="", weight_name="ip-adapter_sd15.safetensors")
    reference.set_ip_adapter_scale(0.6)
    there = expected(reference, ip_adapter_image=Image.open(picture))
    assert (there - plain).abs().max() > 0.05
    here = unguided(tiny_weights, ip_adapter=adapter, ip_adapter_image=picture, ip_adapter_scale=0.6)
    assert (here - there).abs().max() <= 1 / 255


def test_each_sample_is_painted_like_its_own_picture(
    adapter: Path, picture: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    shutil.copyfile(picture, tmp_path / "first.png")
    Image.new("RGB", (50, 50), (255, 60, 20)).save(tmp_path / "second.jpg")
    options = {"ip_adapter": adapter / "ip-adapter_sd15.safetensors", "guidance": 1.0}
    both = unguided(tiny_weights, ("first", "second"), ip_adapter_image=tmp_path, **options)
    for index, name in enumerate(("first.png", "second.jpg")):
        alone = unguided(tiny_weights, ip_adapter_image=tmp_path / name, **options)
        assert (both[index] - alone[0]).abs().max() <= 1 / 255
    assert (both[0] - both[1]).abs().max() > 0.05
    with pytest.raises(brushbench.UserError, match=r"has no picture for third; valid: \.png"):
        unguided(tiny_weights, ("first", "third"), ip_adapter_image=tmp_path, **options)


def test_the_branch_guides_a_model_with_plug_ins(
    lora: Path, adapter: Path, picture: Path, tiny_weights: Path, samples: list[Sample]
) -> None:
    options = {"lora": lora, "ip_adapter": adapter, "ip_adapter_image": picture}
    batch = Batch.of(samples)
    plugged, plain = (
        brushbench.load_method("brushnet", weights=tiny_weights, device="cpu", steps=2, **chosen)(batch, [1, 2, 3])
        for chosen in (options, {})
    )
    assert (plugged.int() - plain.int()).abs().max() > 10
    method = brushbench.load_method("brushnet", weights=tiny_weights, device="cpu", steps=2, **options)
    alone = torch.cat([method(Batch.of([sample]), [1 + index]) for index, sample in enumerate(samples)])
    assert (plugged.int() - alone.int()).abs().max() <= 1


def test_sdxl_takes_them_too(sdxl_weights: Path, tmp_path: Path) -> None:
    unet = UNet2DConditionModel.from_pretrained(sdxl_weights / "unet")
    tensors = get_peft_model_state_dict(with_lora(unet, "unet"))
    StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=tensors)
    there, here = (unguided(sdxl_weights, **options) for options in ({}, {"lora": tmp_path}))
    assert (there - here).abs().max() > 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("lora=nothing.safetensors",), "lora=nothing.safetensors: no such folder, and not a hub id"),
        (("lora={empty}",), "has no pytorch_lora_weights.safetensors"),
        (("lora={adapter}/ip-adapter_sd15.safetensors",), "has no LoRA weights for this base model"),
        (("lora={picture}",), "can't be loaded: it is an image"),
        (("lora={narrow}",), "doesn't fit this base model"),
        (("lora={strange}",), "doesn't fit this base model"),
        (("ip_adapter={adapter}",), "ip_adapter and ip_adapter_image need each other"),
        (("ip_adapter={adapter}", "ip_adapter_image=nothing.png"), "ip_adapter_image=nothing.png: no such file"),
        (("ip_adapter={adapter}", "ip_adapter_image={empty}"), "the folder has no pictures"),
        (("ip_adapter={adapter}", "ip_adapter_image={narrow}"), "not a PNG, JPEG or WebP image"),
        (("ip_adapter={empty}", "ip_adapter_image={picture}"), "has no ip-adapter_sd15.safetensors"),
        (("ip_adapter={lora}/pytorch_lora_weights.safetensors", "ip_adapter_image={picture}"), "no image_encoder/"),
        (("lora={code}",), "code.bin: can't be loaded: it holds a Python object ("),
        (("ip_adapter={code}", "ip_adapter_image={picture}"), "code.bin: can't be loaded: it holds a Python object ("),
        (("ip_adapter={page}", "ip_adapter_image={picture}"), "page.bin: can't be loaded: it is a web page"),
    ],
)
def test_what_can_not_be_plugged_in_is_refused_in_one_line(
    options: tuple[str, ...],
    message: str,
    lora: Path,
    adapter: Path,
    picture: Path,
    tiny_weights: Path,
    write_bench,
    tmp_path: Path,
    brushbench,
) -> None:
    (tmp_path / "empty").mkdir()
    narrow = load_file(lora / "pytorch_lora_weights.safetensors")
    strange = {name.replace("self_attn", "attention"): tensor for name, tensor in narrow.items()}
    save_file(strange, tmp_path / "strange")
    changed = {name: tensor[:, :3].clone() if "down" in name else tensor for name, tensor in narrow.items()}
    save_file(changed, tmp_path / "narrow")
    beside = shutil.copytree(adapter, tmp_path / "beside")
    torch.save({"image_proj": {}, "ip_adapter": Touch(tmp_path / "trace")}, beside / "code.bin")
    (beside / "page.bin").write_text("<html>not found</html>")
    places = {name: tmp_path / name for name in ("empty", "narrow", "strange")}
    places |= {name: beside / f"{name}.bin" for name in ("code", "page")}
    given = [option.format(lora=lora, adapter=adapter, picture=picture, **places) for option in options]
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", tiny_weights, method="brushnet")
    assert_one_line(brushbench(*asked, *(word for option in given for word in ("-o", option))), message)
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "trace").exists()


def test_lora_weights_may_be_a_checkpoint_of_torch(lora: Path, tiny_weights: Path, tmp_path: Path) -> None:
    torch.save(load_file(lora / "pytorch_lora_weights.safetensors"), tmp_path / "style.bin")
    assert torch.equal(unguided(tiny_weights, lora=tmp_path / "style.bin"), unguided(tiny_weights, lora=lora))
