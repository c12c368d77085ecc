"""A pipeline of diffusers, opened by the suite, and called by hand."""

import json
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import AutoPipelineForInpainting, DiffusionPipeline
from PIL import Image

from brushbench.core.types import Sample
from brushbench.evaluation.methods import LoadedMethod, open_method


def opened(model: Path | str, **options: object) -> LoadedMethod:
    return open_method("diffusers", weights=None, device="cpu", dtype="float32", options={"model": model, **options})


def change_index(folder: Path, **entries: object) -> None:
    file = folder / "model_index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def by_hand(folder: Path, prior: Path | None = None) -> DiffusionPipeline:
    """Load a pipeline as diffusers' pages say; its AutoPipeline doesn't know FLUX Fill."""
    if prior:
        halves = DiffusionPipeline.from_pretrained(prior).components
        pipeline = diffusers.KandinskyV22InpaintCombinedPipeline.from_pretrained(
            folder, **{f"prior_{name}": component for name, component in halves.items()}
        )
    elif "FluxFillPipeline" in (folder / "model_index.json").read_text():
        pipeline = diffusers.FluxFillPipeline.from_pretrained(folder)
    elif "StableDiffusion3Pipeline" in (folder / "model_index.json").read_text():
        pipeline = AutoPipelineForInpainting.from_pretrained(folder, text_encoder_3=None, tokenizer_3=None)
    else:
        pipeline = AutoPipelineForInpainting.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def called(pipeline: DiffusionPipeline, sample: Sample, seed: int, **arguments: object) -> torch.Tensor:
    """One picture, int, [3, h, w]."""
    picture = pipeline(
        prompt=sample.caption,
        image=Image.fromarray(sample.image.numpy().transpose(1, 2, 0)),
        mask_image=Image.fromarray(np.where(sample.mask[0].numpy(), 255, 0).astype(np.uint8)),
        height=sample.image.shape[1],
        width=sample.image.shape[2],
        generator=torch.Generator().manual_seed(seed),
        num_inference_steps=3,
        **arguments,
    ).images[0]
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).int()
