"""Check that bytes and images are the same where they should be."""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from brushbench import Batch, load_dataset, load_method
from on_gpu.data import batch_of
from on_gpu.setting import Record, Setting, load

PAPERCUT = {"weights": "papercut", "steps": 12, "guidance": 4.0}
DTYPES = ("float32", "float16", "bfloat16")


def same(setting: Setting, method: str) -> Iterator[Record]:
    """Check an image twice, with other companions and in another place; measure its change with the batch size."""
    few, _ = setting.short
    for compute in setting.computes:
        paint = load(setting, method, compute=compute).methods[few]

        def images(*indices: int, paint=paint) -> Tensor:
            return paint(*batch_of(indices, setting.size))

        four = images(0, 1, 2, 3)
        one = four[0]
        filled = images(0, 0, 0, 0)
        yield {
            "method": method,
            "dtype": setting.dtypes[0],
            "compute": compute,
            "twice": torch.equal(four, images(0, 1, 2, 3)),
            "companions": torch.equal(one, images(0, 11, 12, 13)[0]),
            "place": torch.equal(one, images(11, 12, 13, 0)[3]),
            "copies": torch.equal(filled[0], filled[3]),
            "alone_levels": levels_apart(one, images(0)[0]),
            "wide_levels": levels_apart(one, images(*range(setting.typical))[0]),
            "digest": hashlib.sha256(four.numpy().tobytes()).hexdigest()[:16],
        }


def papercut(setting: Setting, method: str) -> Iterator[Record]:
    """Measure by dtype how far the images of trained models are from those of the CPU in float32."""
    dataset = load_dataset("papercut", split="inside")
    count = 2 if setting.tiny else 8
    batch, seeds = Batch.of([dataset[index] for index in range(count)]), range(count)
    truth = load_method(method, device="cpu", dtype="float32", **PAPERCUT)(batch, seeds)
    for dtype in DTYPES:
        made = load_method(method, device=setting.device, dtype=dtype, **PAPERCUT)(batch, seeds)
        error = (made.float() - truth.float()).square().mean(dim=(1, 2, 3)).clamp(min=1e-6)
        yield {
            "method": method,
            "dtype": dtype,
            "most_levels": levels_apart(made, truth),
            "worst_psnr": (10 * torch.log10(255**2 / error)).min().item(),
        }


def levels_apart(one: Tensor, other: Tensor) -> int:
    """Return the largest difference of two images, in levels of 255."""
    return int((one.int() - other.int()).abs().max())
