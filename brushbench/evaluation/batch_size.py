"""What `--batch-size auto` is: a number that depends on nothing that changes when a run is resumed.

On a GPU it is the one that was measured to be the fastest for the method, the size of its pictures and the precision,
from a table in this folder: what memory is free differs from run to run, and another number makes other images.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from pydantic import BaseModel, PositiveInt, TypeAdapter

from brushbench.core.capture import Failure, capture
from brushbench.core.files import read_bytes
from brushbench.core.types import Dataset
from brushbench.evaluation.memory import Free, total_bytes
from brushbench.evaluation.methods import LoadedMethod
from brushbench.imaging.images import Size

TABLE = Path(__file__).with_name("batch_sizes.json")
GPU_BATCH = 4
"""The batch size on a GPU where nothing was measured."""
CPU_BATCH = 8
CPU_PIXELS = 512 * 512
"""What one call inpaints on the CPU: small pictures one by one would mostly be overhead."""


class MeasuredBatch(BaseModel, extra="forbid", frozen=True):
    """A row of the table: the batch size that a method was measured to be fastest with."""

    method: str
    height: PositiveInt
    width: PositiveInt
    dtype: str
    batch_size: PositiveInt
    peak_bytes: PositiveInt
    """The most memory of the GPU that was in use at once, without `offload`."""


def automatic_batch(dataset: Dataset, method: LoadedMethod) -> int:
    """The number of samples per call, by the size of the first picture."""
    size = _first_size(dataset)
    if method.device.startswith("cuda"):
        found = _measured(size, method) if size else None
        return found.batch_size if found else GPU_BATCH
    return max(1, min(CPU_BATCH, CPU_PIXELS // (size[0] * size[1]))) if size else 1


def memory_warning(dataset: Dataset, method: LoadedMethod, memory: Free = total_bytes) -> str:
    """What to tell a user whose GPU is too small for the automatic batch size; empty if it isn't, or nobody knows."""
    if not method.device.startswith("cuda") or method.offload == "model":
        return ""
    size = _first_size(dataset)
    found = _measured(size, method) if size else None
    there = memory(torch.device(method.device))
    if found is None or found.peak_bytes <= there:
        return ""
    needed, has = (f"{amount / 1e9:.1f} GB" for amount in (found.peak_bytes, there))
    what = f"{found.batch_size} samples per call, at {found.height}x{found.width} in {found.dtype}"
    return (
        f"{method.name} may run out of memory: with {what}, it takes {needed}, and {method.device} has {has}. Use a "
        "smaller --batch-size, or -o offload=model"
    )


@cache
def measured_batches() -> Sequence[MeasuredBatch]:
    """The table, which is empty until somebody measures."""
    return TypeAdapter(list[MeasuredBatch]).validate_json(read_bytes(TABLE))


def _measured(size: Size, method: LoadedMethod) -> MeasuredBatch | None:
    """The row of the smallest pictures that are at least as large: what fits for these fits for smaller ones."""
    rows = [
        row
        for row in measured_batches()
        if (row.method, row.dtype) == (method.name, method.dtype) and row.height * row.width >= size[0] * size[1]
    ]
    return min(rows, key=lambda row: row.height * row.width, default=None)


def _first_size(dataset: Dataset) -> Size | None:
    first = capture(dataset.__getitem__, 0)
    if isinstance(first, Failure):
        return None
    height, width = first.image.shape[1:]
    return height, width
