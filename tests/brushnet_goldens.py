"""Read BrushNet's golden files, for Stable Diffusion 1.5 and for SDXL."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

import brushbench
from brushbench.baselines.brushnet import BrushNetModel
from brushbench.baselines.stable_diffusion import StableDiffusion
from brushbench.core.types import Method
from brushbench.imaging.images import read_image, read_mask


def whole_run(folder: Path, name: str) -> dict[str, Any]:
    """The arguments of the official pipeline's call."""
    return next(case for case in json.loads((folder / "cases.json").read_text()) if case["id"] == name)


def assert_whole_run(
    method: Method, case: Mapping[str, Any], folder: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latents and images within the reference's tolerances."""
    samples = [
        brushbench.Sample(source, read_image(inputs / source), read_mask(inputs / mask), prompt)
        for source, mask, prompt in zip(case["source_file"], case["mask_file"], case["prompts"], strict=True)
    ]
    latents = []
    decode = StableDiffusion.decode
    monkeypatch.setattr(StableDiffusion, "decode", lambda self, found: latents.append(found) or decode(self, found))
    images = method(brushbench.Batch.of(samples), case["seeds"])

    expected = load_file(folder / "cases" / f"{case['id']}.safetensors")["final_latents"]
    assert (latents[0] - expected).abs().max() <= 2e-3
    official = torch.stack([read_image(folder / "cases" / file) for file in case["png"]])
    levels = (images.int() - official.int()).abs().amax(dim=1)
    assert (levels <= 1).double().mean() >= 0.999


def assert_real_size(folder: Path, kind: str) -> None:
    """A branch made from the real UNet has the official names, shapes and config."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(json.loads((folder / f"{kind}_unet_config.json").read_text()))
        branch = BrushNetModel.from_unet(unet)
    shapes = {name: list(tensor.shape) for name, tensor in branch.state_dict().items()}
    assert shapes == json.loads((folder / f"{kind}_brushnet_shapes.json").read_text())
    config, official = (
        {key: value for key, value in json.loads(text).items() if key != "_diffusers_version"}
        for text in (branch.to_json_string(), (folder / f"{kind}_brushnet_config.json").read_text())
    )
    assert config == official
