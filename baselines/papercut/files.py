"""Save models in diffusers layout in half precision, and load them."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import ModelMixin, UNet2DConditionModel
from transformers import PreTrainedModel

from brushbench.baselines.checkpoints import load_model
from brushbench.baselines.schedulers import Sampler
from brushbench.baselines.stable_diffusion import StableDiffusion
from brushbench.weights import Weights
from brushbench.weights.runtime import Runtime

SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
"""Stable Diffusion 1.5's schedule, but with DDIM: its own sampler, PNDM, fails in as few steps as the family takes."""


def save_model(model: ModelMixin | PreTrainedModel, folder: Path) -> None:
    """Save a model as config.json and float16 safetensors."""
    copy.deepcopy(model).half().to(memory_format=torch.contiguous_format).save_pretrained(
        folder, safe_serialization=True
    )


def save_scheduler(folder: Path) -> None:
    """Save the schedule as scheduler_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=2) + "\n", encoding="utf-8")


def runtime(folder: Path) -> Runtime:
    """The runtime in training: models from a folder, on the CPU, in float32."""
    return Runtime(torch.device("cpu"), torch.float32, Weights(folder, "papercut"))


def load_family(folder: Path, sampler: Sampler | None = "unipc", unet: str = "unet") -> StableDiffusion:
    """The diffusion model as trained so far, with BrushNet's sampler; `unet` is the subfolder of the UNet to use."""
    sd = StableDiffusion.load(runtime(folder), None, sampler)
    return sd if unet == "unet" else replace(sd, unet=load_model(UNet2DConditionModel, folder / unet, unet, sd.runtime))
