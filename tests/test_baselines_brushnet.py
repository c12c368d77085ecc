"""BrushNet against the official code's outputs on tiny random models."""

import json
from pathlib import Path

import pytest
import torch
from brushnet_goldens import assert_real_size, assert_whole_run, whole_run
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from support import assert_close, named, only, slow_but
from torch import Tensor

import brushbench
from brushbench.baselines.brushnet import BrushNetModel, BrushNetOptions, Residuals, with_residuals
from brushbench.baselines.captions import cleaned
from brushbench.baselines.checkpoints import load_model
from brushbench.baselines.stable_diffusion import Step
from brushbench.weights import Weights
from brushbench.weights.runtime import Runtime

FORWARDS = ("scale1", "scale05", "guess", "odd", "pert")
WHOLE_RUNS = {"m01": {}, "m02": {}, "m03": {}, "m04": {}, "m05": {}, "m06": {}}
OPTIONS = {
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "brushnet_conditioning_scale": "scale",
    "control_guidance_start": "start",
    "control_guidance_end": "end",
}


@pytest.fixture(scope="module")
def runtime(golden_weights: Path) -> Runtime:
    return Runtime(torch.device("cpu"), torch.float32, Weights(golden_weights, "brushnet"))


@pytest.fixture(scope="module")
def branch(golden_weights: Path, runtime: Runtime) -> BrushNetModel:
    return load_model(BrushNetModel, golden_weights / "brushnet", "brushnet", runtime)


@pytest.fixture(scope="module")
def unet(golden_weights: Path, runtime: Runtime) -> UNet2DConditionModel:
    return load_model(UNet2DConditionModel, golden_weights / "unet", "unet", runtime)


def painted(unet: UNet2DConditionModel, inputs: dict[str, Tensor], residuals: Residuals) -> Tensor:
    with with_residuals(unet, residuals) as guided:
        return guided(inputs["sample"], inputs["timestep"], inputs["encoder_hidden_states"], return_dict=False)[0]


@pytest.mark.parametrize("name", FORWARDS)
@torch.inference_mode()
def test_residuals_and_unet_are_the_official_ones(
    name: str, golden: Path, branch: BrushNetModel, unet: UNet2DConditionModel
) -> None:
    inputs = load_file(golden / f"brushnet/forward/sd15_{name}.safetensors")
    asked = json.loads((golden / "brushnet/forward/cases.json").read_text())[f"sd15_{name}"]["kwargs"]
    residuals = branch(inputs["sample"], inputs["timestep"], inputs["brushnet_cond"], **asked)
    for place, tensor in named(residuals).items():
        assert_close(tensor, inputs[f"brushnet.{place}"])
    assert_close(painted(unet, inputs, residuals), inputs["unet.with_residuals"])


@torch.inference_mode()
def test_every_residual_is_added_in_its_place(golden: Path, branch: BrushNetModel, unet: UNet2DConditionModel) -> None:
    inputs = load_file(golden / "brushnet/forward/sd15_scale1.safetensors")
    residuals = branch(inputs["sample"], inputs["timestep"], inputs["brushnet_cond"])
    for place in named(residuals):
        assert_close(painted(unet, inputs, only(residuals, place)), inputs[f"unet.only_{place}"])


@torch.inference_mode()
def test_the_unet_is_as_before_afterwards(golden: Path, branch: BrushNetModel, unet: UNet2DConditionModel) -> None:
    inputs = load_file(golden / "brushnet/forward/sd15_scale1.safetensors")
    residuals = branch(inputs["sample"], inputs["timestep"], inputs["brushnet_cond"])
    with pytest.raises(ZeroDivisionError), with_residuals(unet, residuals):
        raise ZeroDivisionError
    plain = unet(inputs["sample"], inputs["timestep"], inputs["encoder_hidden_states"], return_dict=False)[0]
    assert_close(plain, inputs["unet.plain"])


@pytest.mark.parametrize("name", slow_but(["m01", "m02", "m03"], WHOLE_RUNS))
def test_whole_runs_are_the_official_ones(
    name: str, golden: Path, golden_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = golden / "brushnet"
    case = whole_run(folder, name)
    options = {OPTIONS[key]: value for key, value in case["call"].items() if key in OPTIONS}
    options |= {"negative_prompt": case["call"].get("negative_prompt", [""])[0]}
    method = brushbench.load_method("brushnet", weights=golden_weights, device="cpu", dtype="float32", **options)
    assert_whole_run(method, case, folder, folder / "inputs", monkeypatch)


def test_real_size_has_the_official_names_and_shapes(golden: Path) -> None:
    assert_real_size(golden / "brushnet/real_size", "sd15")


@torch.inference_mode()
def test_a_branch_that_reads_text_is_powerpaint_s(golden: Path, runtime: Runtime) -> None:
    """Version 2 of PowerPaint: the first step of a golden run, both halves of the guidance, output by output."""
    branch = load_model(BrushNetModel, golden / "powerpaint/branch", "brushnet", runtime)
    case = load_file(golden / "powerpaint/v2_text_astronaut.safetensors")
    noise = case["noise_init"].repeat(2, 1, 1, 1)
    residuals = branch(
        noise, case["timesteps"][0], case["conditioning_latents"], encoder_hidden_states=case["prompt_embeds"]
    )
    for name, tensor in named(residuals).items():
        assert_close(tensor, case[f"bn_{name}"], tolerance=5e-5)


def test_a_branch_that_reads_text_has_the_official_names_and_shapes(golden: Path) -> None:
    config = json.loads((golden / "brushnet/real_size/sd15_unet_config.json").read_text())
    with torch.device("meta"):
        branch = BrushNetModel.from_unet(UNet2DConditionModel.from_config(config), attention=True)
    shapes = {name: list(tensor.shape) for name, tensor in branch.state_dict().items()}
    assert shapes == json.loads((golden / "powerpaint/v2_brushnet_sd15.json").read_text())


@torch.inference_mode()
def test_a_branch_made_from_a_unet_changes_nothing_yet(golden: Path, unet: UNet2DConditionModel) -> None:
    inputs = load_file(golden / "brushnet/forward/sd15_scale1.safetensors")
    branch = BrushNetModel.from_unet(unet)
    residuals = branch(inputs["sample"], inputs["timestep"], inputs["brushnet_cond"])
    assert all(not tensor.any() for tensor in named(residuals).values())
    first = branch.conv_in_condition.weight
    assert torch.equal(first[:, :4], unet.conv_in.weight)
    assert torch.equal(first[:, 4:8], unet.conv_in.weight)
    assert not first[:, 8:].any()
    assert torch.equal(branch.down_blocks[1].resnets[0].conv1.weight, unet.down_blocks[1].resnets[0].conv1.weight)
    assert branch.conv_in_condition.bias is not unet.conv_in.bias


def test_a_branch_survives_saving(tmp_path: Path, unet: UNet2DConditionModel, runtime: Runtime) -> None:
    branch = BrushNetModel.from_unet(unet)
    torch.nn.init.ones_(branch.brushnet_mid_block.weight)
    branch.save_pretrained(tmp_path / "brushnet")
    loaded = load_model(BrushNetModel, tmp_path / "brushnet", "brushnet", runtime)
    assert loaded.state_dict().keys() == branch.state_dict().keys()
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in branch.state_dict().items())


def test_a_unet_of_another_depth_is_refused(unet: UNet2DConditionModel) -> None:
    empty = Residuals((torch.zeros(1, 16, 8, 8),), torch.zeros(1, 32, 1, 1), ())
    refused = pytest.raises(brushbench.UserError, match=r"BrushNet gives 1 \+ 0 features, this UNet takes 12 \+ 15")
    with refused, with_residuals(unet, empty):
        pass


@pytest.mark.parametrize(("start", "end", "steps"), [(0.2, 0.7, range(2, 7)), (0.0, 1.0, range(10)), (0.5, 0.5001, ())])
def test_guidance_start_and_end_choose_whole_steps(start: float, end: float, steps: range) -> None:
    options = BrushNetOptions(scale=0.5, start=start, end=end)
    weights = [options.weight_at(Step(index, 10, torch.tensor(0))) for index in range(10)]
    assert weights == [0.5 if index in steps else 0.0 for index in range(10)]


def test_tokens_are_those_of_clip_with_ftfy(golden: Path, golden_weights: Path) -> None:
    method = brushbench.load_method("brushnet", weights=golden_weights, device="cpu", steps=1)
    for case in json.loads((golden / "brushnet/forward/tokenizer.json").read_text()):
        text = method.sd.tokenizer(cleaned(case["text"]), padding="max_length", max_length=77, truncation=True)
        assert text.input_ids == case["padded77"], case["text"]


def test_scale_zero_is_the_base_model_alone(golden_weights: Path, write_bench) -> None:
    dataset = brushbench.load_dataset("brushbench", root=write_bench(count=1))
    batch = brushbench.Batch.of([dataset[0]])
    images = {
        scale: brushbench.load_method("brushnet", weights=golden_weights, device="cpu", steps=2, scale=scale)(
            batch, [7]
        )
        for scale in (0.0, 1e-9, 1.0)
    }
    assert (images[0.0].int() - images[1e-9].int()).abs().max() <= 1
    assert (images[0.0].int() - images[1.0].int()).abs().max() > 1


@pytest.mark.parametrize("sampler", ["unipc", "ddim", "pndm", "dpm++", "euler"])
def test_every_sampler_ends_in_an_image(sampler: str, golden_weights: Path, write_bench) -> None:
    dataset = brushbench.load_dataset("brushbench", root=write_bench(count=1))
    batch = brushbench.Batch.of([dataset[0]])
    method = brushbench.load_method("brushnet", weights=golden_weights, device="cpu", steps=3, sampler=sampler)
    images = method(batch, [7])
    assert images.shape == batch.images.shape
    assert torch.equal(images, method(batch, [7]))
    assert not torch.equal(images, method(batch, [8]))
