"""Every method honours the kind of prediction that a UNet was trained for, or refuses it in one line."""

import shutil
from pathlib import Path

import pytest
import torch
from conftest import Write
from diffusers import UNet2DConditionModel
from ldm_layout import single_file
from safetensors.torch import save_file
from support import assert_one_line, run_on
from test_baselines_stochastic import with_scheduler

import brushbench as suite
from brushbench.baselines.hd_painter.sampling import ALPHAS, schedule
from brushbench.baselines.schedulers import scheduler_of
from brushbench.core.types import Batch, Sample

METHODS = {"brushnet": 4, "blended-latent": 4, "sd-inpainting": 9, "hd-painter": 9}


@pytest.mark.parametrize("name", METHODS)
def test_noise_and_v_paint_the_same_where_they_say_the_same(
    name: str,
    samples: list[Sample],
    tiny_weights: Path,
    inpainting_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A UNet whose output is turned from noise into v paints, as a v model, what it painted before."""
    weights = inpainting_weights if METHODS[name] == 9 else tiny_weights
    asked = {"device": "cpu", "dtype": "float32", "steps": 4, "guidance": 3.0}
    if name in ("brushnet", "sd-inpainting"):
        # Its input isn't scaled, as it is for Euler: below, v is made from the latents that the UNet reads.
        asked |= {"sampler": "ddim"}
    batch, seeds = Batch.of(samples[:2]), [1, 2]
    expected = suite.load_method(name, weights=weights, **asked)(batch, seeds)
    told = with_scheduler(weights, tmp_path / "weights", "PNDMScheduler", prediction_type="v_prediction")
    method = suite.load_method(name, weights=told, **asked)
    assert (method(batch, seeds).int() - expected.int()).abs().max() > 5
    forward = UNet2DConditionModel.forward

    def as_v(unet: UNet2DConditionModel, read: torch.Tensor, time: torch.Tensor, *more: object, **keywords: object):
        noise = forward(unet, read, time, *more, **keywords)[0]
        alpha = torch.tensor(ALPHAS, dtype=torch.float64)[int(time)]
        # x0 = (x - sqrt(1 - a) noise) / sqrt(a), v = sqrt(a) noise - sqrt(1 - a) x0.
        latents = read[:, :4].double()
        clean = (latents - (1 - alpha).sqrt() * noise) / alpha.sqrt()
        return ((alpha.sqrt() * noise - (1 - alpha).sqrt() * clean).float(),)

    monkeypatch.setattr(UNet2DConditionModel, "forward", as_v)
    assert (method(batch, seeds).int() - expected.int()).abs().max() <= 1


def test_clean_latents_are_a_third_way_to_say_it() -> None:
    jump = schedule(10)[2]
    clean, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    latents = jump.alpha**0.5 * clean + (1 - jump.alpha) ** 0.5 * noise
    v = jump.alpha**0.5 * noise - (1 - jump.alpha) ** 0.5 * clean
    for kind, predicted in (("epsilon", noise), ("v_prediction", v), ("sample", clean)):
        assert torch.allclose(jump.noise_in(latents, predicted, kind), noise, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "sampler", "changes", "parts"),
    [
        ("hd-painter", None, {"prediction_type": "flow_prediction"}, ["flow_prediction"]),
        ("hd-painter", None, {"rescale_betas_zero_snr": True}, ["rescale_betas_zero_snr", "hd-painter"]),
        ("sd-inpainting", "pndm", {"rescale_betas_zero_snr": True}, ["PNDMScheduler doesn't support", "unipc", "ddim"]),
        ("sd-inpainting", None, {"rescale_betas_zero_snr": True}, ["PNDMScheduler doesn't support", "euler"]),
        ("sd-inpainting", "pndm", {"prediction_type": "sample"}, ["prediction_type"]),
    ],
)
def test_what_cannot_be_honoured_is_refused_in_one_line(
    name: str,
    sampler: str | None,
    changes: dict,
    parts: list[str],
    brushbench,
    write_bench: Write,
    inpainting_weights: Path,
    tmp_path: Path,
) -> None:
    weights = with_scheduler(inpainting_weights, tmp_path / "weights", "PNDMScheduler", **changes)
    more = ("--weights", weights, "--steps", 2, "--device", "cpu", *(("-o", f"sampler={sampler}") if sampler else ()))
    result = brushbench(*run_on(write_bench(), tmp_path / "runs", *more, method=name))
    assert_one_line(result, *parts)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["brushnet", "blended-latent"])
def test_a_schedule_that_ends_in_noise_is_honoured(name: str, tiny_weights: Path, tmp_path: Path) -> None:
    changes = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    weights = with_scheduler(tiny_weights, tmp_path / "weights", "DDIMScheduler", **changes)
    method = suite.load_method(name, weights=weights, device="cpu", dtype="float32", steps=2)
    made = scheduler_of(method.sd.sampler, method.sd.scheduler_config)
    assert made.config.prediction_type == "v_prediction"
    assert made.alphas_cumprod[-1] < 1e-6


@pytest.fixture(scope="module")
def tensors(tiny_weights: Path) -> dict[str, torch.Tensor]:
    return single_file(tiny_weights)


def loaded_from(file: Path, weights: Path) -> dict:
    method = suite.load_method("brushnet", weights=weights, base=file, device="cpu", dtype="float32", steps=2)
    return method.sd.scheduler_config


def test_a_single_file_says_what_it_predicts(tensors: dict, tiny_weights: Path, tmp_path: Path) -> None:
    plain, by_tensor, by_metadata = (tmp_path / f"{name}.safetensors" for name in ("plain", "tensor", "metadata"))
    save_file(tensors, plain)
    save_file(tensors | {"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}, by_tensor)
    save_file(tensors, by_metadata, metadata={"modelspec.prediction_type": "v", "format": "pt"})
    beside = shutil.copyfile(plain, tmp_path / "beside.safetensors")
    beside.with_suffix(".yaml").write_text("model:\n  params:\n    parameterization: v\n")
    assert loaded_from(plain, tiny_weights).get("prediction_type", "epsilon") == "epsilon"
    for file in (by_tensor, by_metadata, beside):
        assert loaded_from(file, tiny_weights)["prediction_type"] == "v_prediction", file.name
    config = loaded_from(by_tensor, tiny_weights)
    assert config["rescale_betas_zero_snr"] is True
    assert config["timestep_spacing"] == "trailing"


def test_what_such_a_file_paints_is_what_its_folder_paints(
    tensors: dict, samples: list[Sample], tiny_weights: Path, tmp_path: Path
) -> None:
    file = tmp_path / "v.safetensors"
    save_file(tensors | {"v_pred": torch.tensor([])}, file)
    told = with_scheduler(tiny_weights, tmp_path / "weights", "PNDMScheduler", prediction_type="v_prediction")
    batch, asked = Batch.of(samples[:1]), {"device": "cpu", "dtype": "float32", "steps": 2}
    single = suite.load_method("brushnet", weights=tiny_weights, base=file, **asked)(batch, [1])
    folder = suite.load_method("brushnet", weights=told, **asked)(batch, [1])
    assert torch.equal(single, folder)


def test_a_base_for_other_texts_is_refused_by_its_config(
    brushbench, write_bench: Write, tiny_weights: Path, tmp_path: Path
) -> None:
    """Stable Diffusion 2.x has the widths of 1.5, and reads wider texts."""
    base = shutil.copytree(tiny_weights, tmp_path / "base")
    config = UNet2DConditionModel.load_config(base / "unet") | {"cross_attention_dim": 1024}
    UNet2DConditionModel.from_config(config).save_pretrained(base / "unet")
    more = ("--weights", tiny_weights, "-o", f"base={base}", "--device", "cpu", "--steps", 2)
    result = brushbench(*run_on(write_bench(), tmp_path / "runs", *more, method="brushnet"))
    assert_one_line(result, "this BrushNet is for", "text width 20", "Stable Diffusion 2.x", "text width 1024")
    assert not (tmp_path / "runs").exists()


def test_a_single_file_of_another_kind_is_refused(
    brushbench, write_bench: Write, tensors: dict, tiny_weights, tmp_path
) -> None:
    wider = {
        name: torch.cat([tensor] * 2, dim=1) if "attn2.to_k" in name or "attn2.to_v" in name else tensor
        for name, tensor in tensors.items()
    }
    save_file(wider, tmp_path / "other.safetensors")
    more = ("--weights", tiny_weights, "-o", f"base={tmp_path / 'other.safetensors'}", "--device", "cpu")
    result = brushbench(*run_on(write_bench(), tmp_path / "runs", *more, method="brushnet"))
    assert_one_line(result, "text width 40", "text width 20", "valid: ")
