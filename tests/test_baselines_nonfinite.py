"""Values that aren't finite never become a picture: the sample fails, or its VAE computes again in float32."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import Write
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from support import DIFFUSION_METHODS, run_on
from tiny_pipelines import Folders

import brushbench as suite
from brushbench.core.types import Batch, Sample

VALID = "valid: --dtype float32 or bfloat16"


def spoiled(weights: Path, folder: Path, part: str, name: str, factor: float) -> Path:
    """The weights with one tensor of a model multiplied by a factor."""
    copy = shutil.copytree(weights, folder)
    file = next((copy / part).glob("*.safetensors"))
    tensors = load_file(file)
    tensors[name] = tensors[name] * factor
    save_file(tensors, file, metadata={"format": "pt"})
    return copy


def ledger(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("name", "options"), DIFFUSION_METHODS)
@pytest.mark.parametrize(("model", "call"), [(UNet2DConditionModel, "forward"), (AutoencoderKL, "decode")])
def test_every_method_refuses_what_is_not_finite(
    name: str, options: dict, model: type, call: str, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = suite.load_method(name, weights="papercut", device="cpu", dtype="float32", steps=2, **options)
    computed = getattr(model, call)

    def spoiled_call(*arguments: object, **keywords: object) -> tuple[torch.Tensor]:
        return (computed(*arguments, **keywords)[0] * float("nan"),)

    monkeypatch.setattr(model, call, spoiled_call)
    with pytest.raises(suite.UserError, match=VALID):
        method(Batch.of(samples[:2]), [1, 2])


def test_hd_painter_refuses_a_gradient_that_is_not_finite(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = suite.load_method("hd-painter", weights="papercut", device="cpu", dtype="float32", steps=2)
    gradient = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *given: (gradient(*given)[0] * 0,))
    with pytest.raises(suite.UserError, match=f"gradient.*{VALID}"):
        method(Batch.of(samples[:2]), [1, 2])


def test_an_infinite_pixel_is_no_white_one(samples: list[Sample], tiny_weights: Path, tmp_path: Path) -> None:
    broken = spoiled(tiny_weights, tmp_path / "weights", "vae", "decoder.conv_out.bias", float("inf"))
    method = suite.load_method("brushnet", weights=broken, device="cpu", dtype="float32", steps=1)
    with pytest.raises(suite.UserError, match="pixels aren't finite"):
        method(Batch.of(samples[:1]), [1])


@pytest.mark.parametrize("kind", ["sd-inpainting", "flux-fill", "kandinsky"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_so_does_a_pipeline_of_diffusers(
    kind: str, value: float, pipelines: Folders, samples: list[Sample], tmp_path: Path
) -> None:
    part = "movq" if kind == "kandinsky" else "vae"
    broken = spoiled(pipelines(kind), tmp_path / "model", part, "decoder.conv_out.bias", value)
    prior = {"prior": pipelines("kandinsky-prior")} if kind == "kandinsky" else {}
    method = suite.load_method("diffusers", model=broken, device="cpu", dtype="float32", steps=2, **prior)
    with pytest.raises(suite.UserError, match=VALID):
        method(Batch.of(samples[:2]), [1, 2])


def test_a_run_records_them_as_failed(brushbench, write_bench: Write, tiny_weights: Path, tmp_path: Path) -> None:
    broken = spoiled(tiny_weights, tmp_path / "weights", "unet", "conv_out.bias", float("nan"))
    more = ("--weights", broken, "--steps", 2, "--metrics", "psnr", "--device", "cpu")
    code, _, _ = brushbench(*run_on(write_bench(), tmp_path / "runs", *more, method="brushnet"))
    assert code == 3
    entries = ledger(tmp_path / "runs" / "brushbench-inside" / "brushnet")
    assert {entry["status"] for entry in entries} == {"failed"}
    assert all(VALID in entry["error"] for entry in entries)


def overflowing(weights: Path, folder: Path, part: str) -> Path:
    """A VAE whose activations pass 65504, the largest number of float16, and are normalised again right after."""
    name = f"{part}.conv_in.weight"
    largest = load_file(next((weights / "vae").glob("*.safetensors")))[name].abs().max()
    return spoiled(weights, folder, "vae", name, 60000 / float(largest))


@pytest.mark.parametrize("part", ["decoder", "encoder"])
def test_where_only_the_vae_overflows_it_computes_again_in_float32(
    part: str, samples: list[Sample], tiny_weights: Path, tmp_path: Path
) -> None:
    weights = overflowing(tiny_weights, tmp_path / "weights", part)
    half, full = (
        suite.load_method("brushnet", weights=weights, device="cpu", dtype=dtype, steps=2)
        for dtype in ("float16", "float32")
    )
    with pytest.warns(UserWarning, match="overflowed in half precision"):
        images = half(Batch.of(samples[:2]), [1, 2])
    assert half.sd.vae.dtype == torch.float16
    assert (images.int() - full(Batch.of(samples[:2]), [1, 2]).int()).float().abs().mean() < 2
    with pytest.warns(UserWarning, match="overflowed in half precision"):
        alone = half(Batch.of(samples[1:2]), [2])
    assert (alone[0].int() - images[1].int()).float().abs().mean() < 1


def test_a_note_in_the_ledger_says_so(brushbench, write_bench: Write, tiny_weights: Path, tmp_path: Path) -> None:
    weights = overflowing(tiny_weights, tmp_path / "weights", "decoder")
    more = ("--weights", weights, "--steps", 2, "--metrics", "psnr", "--device", "cpu", "--dtype", "float16")
    code, _, err = brushbench(*run_on(write_bench(), tmp_path / "runs", *more, method="brushnet"))
    assert code == 0, err
    entries = ledger(tmp_path / "runs" / "brushbench-inside" / "brushnet")
    assert all("pixels computed again in float32" in entry["note"] for entry in entries)
