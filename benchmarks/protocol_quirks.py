"""Measure what each quirk of the official protocol does to the numbers, for the tables of docs/protocol.md.

    python benchmarks/protocol_quirks.py            # about four minutes on one core
    python benchmarks/protocol_quirks.py --quick    # only the tables without a diffusion model

It uses the embedded data sets `photos` and `papercut`, and PaperCut's BrushNet as the diffusion method.
"""

import argparse
import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from tabulate import tabulate
from torch import Tensor

import brushbench
from brushbench.core.protocol import PROTOCOLS
from brushbench.core.types import Batch, Method
from brushbench.imaging.images import encode_image
from brushbench.imaging.masks import blend

SCENES = 40
"""Number of PaperCut scenes per split."""
SEED_SCENES, SEEDS = 24, 8
RUN_SEED = 1234
SIZE = 512
"""The size to which the official script resizes all pictures."""
WHERE = [("photos", "inside"), ("photos", "outside"), ("papercut", "inside"), ("papercut", "outside")]


def batch_of(dataset: str, split: str, count: int = SCENES) -> Batch:
    """The first samples of a data set."""
    samples = brushbench.load_dataset(dataset, split=split)
    return Batch.of([samples[index] for index in range(min(count, len(samples)))])


def as_jpeg(images: Tensor) -> Tensor:
    """Encode images as JPEG and decode them, as the official script stores them."""
    return torch.stack([_read(encode_image(image, "JPEG")) for image in images])


def official(metric: str, batch: Batch, images: Tensor) -> np.ndarray:
    """Score images by the official script's formula."""
    return brushbench.load_metric(metric, protocol="paper")(batch, images).numpy()


def correct(metric: str, batch: Batch, images: Tensor) -> np.ndarray:
    """Score images by the correct formula."""
    return brushbench.load_metric(metric)(batch, images).numpy()


def resized(batch: Batch, images: Tensor, side: int) -> tuple[Batch, Tensor]:
    """Resize a batch and its images bicubically, as Pillow does by default; masks by the nearest pixel."""
    masks = [
        np.asarray(Image.fromarray(mask[0].numpy()).resize((side, side), Image.Resampling.NEAREST))
        for mask in batch.masks
    ]
    stacked = torch.stack([torch.from_numpy(mask.copy())[None] for mask in masks])
    return Batch(batch.ids, _scaled(batch.images, side), stacked, batch.captions), _scaled(images, side)


def jpeg_table() -> str:
    """Score perfect copies of the sources, stored as JPEG like the script's images."""
    rows = []
    for dataset, split in WHERE:
        batch = batch_of(dataset, split)
        stored = as_jpeg(batch.images)
        psnr, mse = official("psnr", batch, stored), official("mse", batch, stored) * 1e3
        true = correct("psnr", batch, stored)
        rows.append([f"{dataset}, {split}", len(batch), _spread(psnr), _spread(mse), _spread(true)])
    header = ["data, split", "n", "PSNR, official", "MSE x1e3, official", "PSNR, correct formula"]
    return _table(header, rows)


def identical_table() -> str:
    """Show what one image that equals its source does to an average."""
    rows = []
    for dataset, split in WHERE:
        batch = batch_of(dataset, split, 10)
        stored = as_jpeg(batch.images)
        scores = [official("psnr", batch, stored)]
        for count in (1, len(batch)):
            stored = torch.cat([batch.images[:count], stored[count:]])
            scores.append(official("psnr", batch, stored))
        rows.append([f"{dataset}, {split}", *(f"{part.mean():.2f}" for part in scores)])
    return _table(["data, split", "10 copies as JPEG", "one of them lossless", "all lossless"], rows)


def channels_table() -> str:
    """Compare squared errors summed over the three channels with averaged ones."""
    rows = []
    for dataset, split in WHERE:
        batch = batch_of(dataset, split)
        stored = as_jpeg(batch.images)
        ratio = official("mse", batch, stored) / correct("mse", batch, stored)
        change = official("psnr", batch, stored) - correct("psnr", batch, stored)
        rows.append([f"{dataset}, {split}", f"{ratio.min():.5f} to {ratio.max():.5f}", f"{change.mean():+.4f} dB"])
    return _table(["data, split", "MSE, official / correct", "PSNR, official - correct"], rows)


def shrinking_table() -> str:
    """Show that halving the size lowers the error, as for a data set of 1024 pixels; here from 512 to 256."""
    rows = []
    for dataset, split in WHERE[:2]:
        batch = batch_of(dataset, split)
        stored = as_jpeg(batch.images)
        small = resized(batch, stored, SIZE // 2)
        rows.append([f"{dataset}, {split}: JPEG", "512 -> 256", *_before_and_after(batch, stored, small)])
    return _table(RESIZE_HEADER, rows)


RESIZE_HEADER = ["data, split: images", "resized", "PSNR before, correct formula", "after", "change"]


def enlarging_rows(painted: Tensor, batch: Batch) -> list[list[str]]:
    """Show what enlarging does to PaperCut's pictures of 128 pixels."""
    large = resized(batch, painted, SIZE)
    return [["papercut, inside: `brushnet`", "128 -> 512", *_before_and_after(batch, painted, large)]]


def blended_table(painted: Tensor, batch: Batch) -> str:
    """Score BrushNet, BrushNet with blending, and a perfect copy, stored losslessly and as JPEG."""
    rows = []
    for name, images in (
        ("`brushnet`", painted),
        ("`brushnet`, blend=blur", blend(painted, batch.images, batch.masks, "blur", 21)),
        ("perfect copy", batch.images),
    ):
        lossless, stored = official("psnr", batch, images), official("psnr", batch, as_jpeg(images))
        mse = official("mse", batch, as_jpeg(images)) * 1e3
        rows.append([name, f"{lossless.mean():.2f}", f"{stored.mean():.2f}", f"{mse.mean():.2f}"])
    return _table(["papercut, inside", "PSNR, stored as PNG", "PSNR, stored as JPEG", "MSE x1e3, stored as JPEG"], rows)


def seed_table(method: Method) -> str:
    """Show how much the means depend on the run's seed, with the same noise for every image and without."""
    batch = batch_of("papercut", "inside", SEED_SCENES)
    clip = brushbench.load_metric("papercut-clip")
    rows = []
    for name in ("paper", "strict"):
        means = []
        for seed in range(RUN_SEED, RUN_SEED + SEEDS):
            images = _painted(method, batch, [PROTOCOLS[name].sample_seed(seed, sample) for sample in batch.ids])
            means.append([correct("psnr", batch, images).mean(), clip(batch, images).numpy().mean()])
        spread, mean = np.std(means, axis=0, ddof=1), np.mean(means, axis=0)
        seeds = "the same for every image" if name == "paper" else "its own for every image"
        rows.append([seeds, *(f"{m:.2f}, s.d. {s:.2f}" for m, s in zip(mean, spread, strict=True))])
    return _table(["seed", f"mean PSNR over {SEEDS} run seeds", "mean papercut-clip"], rows)


def scale_table(batch: Batch, painted: Tensor) -> str:
    """Show what the script's ignored scale option does to the numbers."""
    half = brushbench.load_method("brushnet", weights="papercut", device="cpu", scale=0.5)
    images = _painted(half, batch, _seeds(batch))
    psnr = [f"{correct('psnr', batch, part).mean():.2f}" for part in (painted, images)]
    return _table(
        ["scale requested", "scale used by the script", "PSNR of the script", "PSNR at the scale requested"],
        [["0.5", "1.0", *psnr]],
    )


def main() -> None:
    """Print each table below its name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    tables: dict[str, Callable[[], str]] = {
        "JPEG": jpeg_table,
        "Three channels": channels_table,
        "1000": identical_table,
        "Resizing": shrinking_table,
    }
    for name, table in tables.items():
        print(f"{name}\n\n{table()}\n", flush=True)
    if quick:
        return
    method = brushbench.load_method("brushnet", weights="papercut", device="cpu")
    batch = batch_of("papercut", "inside")
    painted = _painted(method, batch, _seeds(batch))
    print(f"Resizing, further row\n\n{_table(RESIZE_HEADER, enlarging_rows(painted, batch))}\n", flush=True)
    print(f"Blended\n\n{blended_table(painted, batch)}\n", flush=True)
    print(f"Scale\n\n{scale_table(batch, painted)}\n", flush=True)
    print(f"Seeds\n\n{seed_table(method)}", flush=True)


def _seeds(batch: Batch) -> list[int]:
    return [PROTOCOLS["strict"].sample_seed(RUN_SEED, name) for name in batch.ids]


def _painted(method: Method, batch: Batch, seeds: Sequence[int]) -> Tensor:
    chunks = []
    for start in range(0, len(batch), 8):
        end = start + 8
        part = Batch(batch.ids[start:end], batch.images[start:end], batch.masks[start:end], batch.captions[start:end])
        chunks.append(method(part, seeds[start:end]))
    return torch.cat(chunks)


def _before_and_after(batch: Batch, images: Tensor, other: tuple[Batch, Tensor]) -> list[str]:
    before, after = correct("psnr", batch, images).mean(), correct("psnr", *other).mean()
    return [f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f} dB"]


def _scaled(images: Tensor, side: int) -> Tensor:
    scaled = [Image.fromarray(image.permute(1, 2, 0).numpy()).resize((side, side)) for image in images]
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in scaled])


def _read(content: bytes) -> Tensor:
    return torch.from_numpy(np.array(Image.open(io.BytesIO(content)))).permute(2, 0, 1).contiguous()


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f})"


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return tabulate(rows, header, tablefmt="pipe", disable_numparse=True)


if __name__ == "__main__":
    main()
