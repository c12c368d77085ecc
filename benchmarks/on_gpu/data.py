"""Make samples as detailed as photographs, without using a photograph."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from brushbench import Batch, Sample


def sample_of(index: int, side: int) -> Sample:
    """Make an image of noise at several scales, and an ellipse as mask; the same index gives the same sample."""
    draw = np.random.default_rng(index)
    total = np.full((side, side, 3), 128.0)
    for cells in (4, 16, 64, side):
        noise = Image.fromarray(draw.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += (np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC), dtype=float) - 128) / cells**0.3
    canvas = Image.new("L", (side, side))
    left, top = draw.integers(side // 8, side // 3, 2)
    ImageDraw.Draw(canvas).ellipse([left, top, left + side // 2, top + side // 3], fill=255)
    pixels = torch.from_numpy(total.clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
    mask = torch.from_numpy(np.asarray(canvas) > 127)[None]
    return Sample(f"{index:06d}", pixels, mask, f"a photograph of thing number {index} on a table, detailed")


def batch_of(indices: Sequence[int], side: int) -> tuple[Batch, list[int]]:
    """Return a batch of these samples, each with its own seed."""
    return Batch.of([sample_of(index, side) for index in indices]), [1000 + index for index in indices]


def pictures_of(sample: Sample) -> tuple[Image.Image, Image.Image]:
    """Return the image and the mask as Pillow images."""
    return Image.fromarray(sample.image.permute(1, 2, 0).numpy()), Image.fromarray(sample.mask[0].numpy())


def write_data(root: Path, count: int, side: int) -> Path:
    """Return a folder for the data set `folder`, made at the first call: JPEGs, masks and captions."""
    if (root / "captions.csv").exists():
        return root
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    samples = [sample_of(index, side) for index in range(count)]
    for sample in samples:
        image, mask = pictures_of(sample)
        image.save(root / "images" / f"{sample.id}.jpg", quality=95)
        mask.save(root / "masks" / f"{sample.id}.png")
    with (root / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "caption"], *([sample.id, sample.caption] for sample in samples)])
    return root
