"""Choose the batch size for `--batch-size auto`, from nothing that changes when a run is resumed.

On a GPU, a table in this folder gives the batch size that was measured to be fastest for the method, its family of
weights, the picture size and the precision; `python benchmarks/gpu.py --batch-sizes` writes it. Free memory is not
considered: it differs from run to run, and another batch size changes images.
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
"""Pixels per call on the CPU: with one small picture per call, most of the time would be overhead."""


class MeasuredBatch(BaseModel, extra="forbid", frozen=True):
    """A row of the table: the batch size at which a method was measured to be fastest."""

    method: str
    family: str
    """The family of weights: the models of another one are larger or smaller."""
    height: PositiveInt
    width: PositiveInt
    dtype: str
    batch_size: PositiveInt
    peak_bytes: PositiveInt
    """The peak of the GPU memory in use, without `offload`."""

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        """What it was measured for; a table has one row for it."""
        return self.method, self.family, self.dtype, self.height, self.width


def automatic_batch(dataset: Dataset, method: LoadedMethod) -> int:
    """Choose the number of samples per call by the size of the first picture."""
    size = _first_size(dataset)
    if method.device.startswith("cuda"):
        found = _measured(size, method) if size else None
        return found.batch_size if found else GPU_BATCH
    return max(1, min(CPU_BATCH, CPU_PIXELS // (size[0] * size[1]))) if size else 1


def memory_warning(dataset: Dataset, method: LoadedMethod, memory: Free = total_bytes) -> str:
    """Warn if the GPU is too small for the automatic batch size; empty if it is large enough, or if that is unknown."""
    if not method.device.startswith("cuda") or method.offload == "model":
        return ""
    size = _first_size(dataset)
    found = _measured(size, method) if size else None
    there = memory(torch.device(method.device))
    if found is None or found.peak_bytes <= there:
        return ""
    needed, has = (f"{amount / 1e9:.1f} GB" for amount in (found.peak_bytes, there))
    what = f"{found.batch_size} samples per call at {found.height}x{found.width} in {found.dtype}"
    return (
        f"{method.name} may run out of memory: {what} need {needed}, but {method.device} has {has}. Use a smaller "
        "--batch-size, or -o offload=model"
    )


@cache
def measured_batches() -> Sequence[MeasuredBatch]:
    """The table of measured batch sizes, which may be empty."""
    return TypeAdapter(list[MeasuredBatch]).validate_json(read_bytes(TABLE))


def _measured(size: Size, method: LoadedMethod) -> MeasuredBatch | None:
    """The row for the smallest pictures of at least this size: a batch of them that fits also fits at this size."""
    rows = [
        row
        for row in measured_batches()
        if row.key[:3] == (method.name, method.family, method.dtype) and row.height * row.width >= size[0] * size[1]
    ]
    return min(rows, key=lambda row: row.height * row.width, default=None)


def _first_size(dataset: Dataset) -> Size | None:
    first = capture(dataset.__getitem__, 0)
    if isinstance(first, Failure):
        return None
    height, width = first.image.shape[1:]
    return height, width
