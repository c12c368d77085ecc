"""Base models in one file, as found on model-sharing sites."""

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from hub_server import locked, put_in_cache
from ldm_layout import single_file
from safetensors.torch import load_file, save_file
from support import Touch, assert_one_line, run_on

import brushbench
from brushbench.core.types import Batch

MODELS = ("unet", "vae", "text_encoder")


@pytest.fixture(scope="module")
def file(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("single") / "any name.safetensors"
    save_file(single_file(tiny_weights), path)
    return path


@pytest.fixture
def configs(tiny_weights: Path, tmp_path: Path) -> Path:
    """The folder with all that a single file lacks, and not one base model."""
    folder = shutil.copytree(tiny_weights, tmp_path / "configs")
    for part in MODELS:
        for weights in (folder / part).glob("*.safetensors"):
            weights.unlink()
    return folder


def painted(samples: list, weights: Path, **options: object) -> torch.Tensor:
    method = brushbench.load_method("brushnet", weights=weights, device="cpu", dtype="float32", steps=2, **options)
    return method(Batch.of(samples), [3, 4, 5])


def test_a_single_file_paints_what_its_folder_paints(samples, file: Path, configs: Path, tiny_weights: Path) -> None:
    assert torch.equal(painted(samples, configs, base=file), painted(samples, tiny_weights))


def test_a_pickled_one_too(samples, configs: Path, tiny_weights: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": single_file(tiny_weights), "global_step": 7}, tmp_path / "model.ckpt")
    assert torch.equal(painted(samples, configs, base=tmp_path / "model.ckpt"), painted(samples, tiny_weights))


def test_an_sdxl_too(samples, sdxl_weights: Path, tmp_path: Path) -> None:
    save_file(single_file(sdxl_weights), tmp_path / "xl.safetensors")
    expected = painted(samples, sdxl_weights)
    assert torch.equal(painted(samples, sdxl_weights, base=tmp_path / "xl.safetensors"), expected)


def test_a_family_can_name_one(samples, file: Path, configs: Path, tiny_weights: Path, tmp_path: Path) -> None:
    family = tmp_path / "mine.toml"
    shutil.copyfile(file, tmp_path / "mine.safetensors")
    lines = [
        'summary = "mine"',
        *component("mine", "mine.safetensors", config="layout"),
        *component("layout", "configs"),
        *component("branch", str(tiny_weights / "brushnet")),
        "[methods.brushnet]",
        'base = "mine"',
        'brushnet = "branch"',
    ]
    family.write_text("\n".join(lines))
    expected = painted(samples, tiny_weights)
    assert torch.equal(painted(samples, family), expected)
    assert torch.equal(painted(samples, family, base=file), expected)
    assert torch.equal(painted(samples, tiny_weights, base=tiny_weights), expected)
    for wrong in ("", 'config = "mine"', 'config = "nothing"'):
        family.write_text("\n".join(lines).replace('config = "layout"', wrong))
        with pytest.raises(brushbench.UserError, match=r"components.mine: a single file"):
            painted(samples, family)


def component(name: str, source: str, config: str | None = None) -> list[str]:
    lines = [f"[components.{name}]", f'source = "{source}"', 'licence = "none"', 'citation = "none"']
    return [*lines, f'config = "{config}"'] if config else lines


def test_what_was_downloaded_for_it_is_locked_by_itself(
    samples, file: Path, configs: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    put_in_cache(tmp_path / "hub", "tiny/base", configs)
    family = tmp_path / "mine.toml"
    branch = component("branch", str(tiny_weights / "brushnet"))
    methods = ["[methods.brushnet]", 'base = "base"', 'brushnet = "branch"']
    family.write_text("\n".join(['summary = "mine"', *component("base", "tiny/base"), *branch, *methods]))
    assert torch.equal(painted(samples, family, base=file), painted(samples, tiny_weights))
    assert locked(tmp_path / "hub").keys() == {"scheduler", "tokenizer", *(f"{part}_config" for part in MODELS)}


def test_the_run_records_its_digest(file: Path, configs: Path, write_bench, tmp_path: Path, brushbench) -> None:
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", configs, "--steps", 1, method="brushnet")
    assert brushbench(*asked, "-o", f"base={file}")[0] == 0
    record = json.loads(next((tmp_path / "runs").rglob("run.json")).read_text())
    digests = record["identity"]["method"]["digests"]
    assert digests["checkpoint"] == hashlib.sha256(hashlib.sha256(file.read_bytes()).digest()).hexdigest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no vae", "its vae can't be read"),
        ("no text encoder", "its text_encoder can't be read"),
        ("one text tensor less", "the checkpoint lacks tensors of its text_encoder"),
        ("one tensor less", "the checkpoint lacks tensors of its unet"),
        ("another shape", "its unet can't be read"),
        ("a picture", "can't be loaded: it is an image"),
        ("a program", "can't be loaded: it holds a Python object (pathlib."),
        ("nothing", "no such file"),
    ],
)
def test_what_is_no_base_is_refused_in_one_line(
    change: str, message: str, file: Path, configs: Path, write_bench, tmp_path: Path, brushbench
) -> None:
    wrong = tmp_path / ("wrong.ckpt" if change == "a program" else "wrong.safetensors")
    tensors = load_file(file)
    name = "model.diffusion_model.middle_block.0.in_layers.2.weight"
    if change == "no vae":
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("first_stage_model")}
    elif change == "no text encoder":
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("cond_stage_model")}
    elif change == "one tensor less":
        del tensors[name]
    elif change == "one text tensor less":
        del tensors["cond_stage_model.transformer.text_model.final_layer_norm.bias"]
    elif change == "another shape":
        tensors[name] = tensors[name][:2].clone()
    if change == "a picture":
        wrong.write_bytes(b"\x89PNG" * 100)
    elif change == "a program":
        wrong.write_bytes(pickle.dumps({"state_dict": Touch(tmp_path / "trace")}))
    elif change != "nothing":
        save_file(tensors, wrong)
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", configs, method="brushnet")
    assert_one_line(brushbench(*asked, "-o", f"base={wrong}"), message, wrong.name)
    assert not (tmp_path / "runs").exists()


def test_code_in_one_is_named_and_never_run(file: Path, configs: Path, write_bench, tmp_path: Path, brushbench) -> None:
    """The first files of Stable Diffusion hold callbacks that are objects of Lightning's classes."""
    content = {"state_dict": load_file(file), "callbacks": {Touch(tmp_path / "trace"): {"best": 1}}}
    torch.save(content, tmp_path / "model.ckpt")
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", configs, method="brushnet")
    result = brushbench(*asked, "-o", f"base={tmp_path / 'model.ckpt'}")
    assert_one_line(result, "model.ckpt: can't be loaded: it holds a Python object (", "safetensors version")
    assert not (tmp_path / "trace").exists()
    assert not (tmp_path / "runs").exists()


def widened(tensors: dict[str, torch.Tensor], channels: int) -> dict[str, torch.Tensor]:
    """A checkpoint whose UNet reads so many channels."""
    name = "model.diffusion_model.input_blocks.0.0.weight"
    first = tensors[name]
    return tensors | {name: torch.cat([first, first, first], dim=1)[:, :channels].clone()}


@pytest.mark.parametrize(
    ("method", "options", "needed", "given"),
    [
        ("brushnet", {}, 4, 9),
        ("blended-latent", {}, 4, 9),
        ("powerpaint", {"version": 2}, 4, 9),
        ("brushnet", {}, 4, 8),
        ("sd-inpainting", {}, 9, 4),
        ("hd-painter", {}, 9, 4),
        ("powerpaint", {"version": 1}, 9, 4),
    ],
)
@pytest.mark.parametrize("said", ["by configs of four", "by configs of nine"])
def test_a_unet_of_other_channels_is_refused_as_a_folder_s_is(
    method: str,
    options: dict[str, int],
    needed: int,
    given: int,
    said: str,
    file: Path,
    tiny_weights: Path,
    inpainting_weights: Path,
    write_bench,
    tmp_path: Path,
    brushbench,
) -> None:
    configs = shutil.copytree(tiny_weights if said.endswith("four") else inpainting_weights, tmp_path / "configs")
    for part in ("powerpaint", "powerpaint_v2"):
        (configs / part).mkdir()
    save_file(widened(load_file(file), given), tmp_path / "other.safetensors")
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", configs, method=method)
    more = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    result = brushbench(*asked, *more, "-o", f"base={tmp_path / 'other.safetensors'}")
    assert_one_line(result, f"{method} needs a UNet with {needed} input channels; this one has {given}")
    assert not (tmp_path / "runs").exists()


def test_a_controlnet_says_what_it_needs_too(
    file: Path, tiny_weights: Path, write_bench, tmp_path: Path, brushbench
) -> None:
    configs = shutil.copytree(tiny_weights, tmp_path / "configs")
    unet = UNet2DConditionModel.from_pretrained(tiny_weights / "unet", in_channels=4)
    ControlNetModel.from_unet(unet).save_pretrained(configs / "controlnet")
    save_file(widened(load_file(file), 9), tmp_path / "wide.safetensors")
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", configs, method="controlnet")
    result = brushbench(*asked, "-o", f"base={tmp_path / 'wide.safetensors'}")
    assert_one_line(result, "this ControlNet is for a UNet of input channels", "(9, ")


def test_an_inpainting_file_paints_by_the_configs_of_its_text_to_image_model(
    samples, file: Path, tiny_weights: Path, inpainting_weights: Path, tmp_path: Path
) -> None:
    save_file(widened(load_file(file), 9), tmp_path / "wide.safetensors")
    first, second = (
        brushbench.load_method("sd-inpainting", weights=folder, device="cpu", dtype="float32", steps=2, base=wide)
        for folder in (tiny_weights, inpainting_weights)
        for wide in [tmp_path / "wide.safetensors"]
    )
    assert torch.equal(first(Batch.of(samples), [3, 4, 5]), second(Batch.of(samples), [3, 4, 5]))


@pytest.mark.parametrize("method", ["brushnet", "blended-latent", "sd-inpainting"])
def test_an_sdxl_under_configs_of_another_kind_is_refused(
    method: str, sdxl_weights: Path, tiny_weights: Path, write_bench, tmp_path: Path, brushbench
) -> None:
    save_file(single_file(sdxl_weights), tmp_path / "xl.safetensors")
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", tiny_weights, method=method)
    result = brushbench(*asked, "-o", f"base={tmp_path / 'xl.safetensors'}")
    assert_one_line(result, "xl.safetensors: a UNet of ", " is for a UNet of ", last=True)
