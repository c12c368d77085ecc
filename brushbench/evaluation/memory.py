"""Decide which metrics are computed together, so that their networks fit into the free memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import psutil
import torch

from brushbench.core.types import Metric, SetMetric
from brushbench.weights.memory import is_loaded
from brushbench.weights.metrics import sources_of
from brushbench.weights.runtime import device_named

T = TypeVar("T")
RESERVE = 2 << 30
"""Bytes to leave free for everything except the networks."""
KEPT = 1 << 30
"""Bytes of decoded images to keep in memory while one network after another scores them."""
WEIGHTS = (".safetensors", ".pt", ".pth", ".bin")
Free = Callable[[torch.device], int]


@runtime_checkable
class Placed(Protocol):
    """A metric with an option for the device on which it computes."""

    @property
    def device(self) -> str:
        """The device, as given on the command line."""
        ...


def free_bytes(device: torch.device) -> int:
    """The bytes that are free on a device now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def total_bytes(device: torch.device) -> int:
    """The bytes of memory that a GPU has, whether used or free."""
    return torch.cuda.get_device_properties(device).total_memory


def device_of(metrics: Iterable[Metric | SetMetric]) -> torch.device:
    """The device on which the networks of these metrics compute."""
    return device_named(next((metric.device for metric in metrics if isinstance(metric, Placed)), "auto"))


def stages(metrics: Mapping[str, Metric | SetMetric], free: Free = free_bytes) -> list[list[str]]:
    """Group the metrics' names for computing one group after another; one group if all networks fit.

    Metrics that share weights are in the same group, and metrics without weights are in the first. `free` returns the
    free bytes of a device, which no longer include the networks that are already loaded.
    """
    files = {name: _files(metric) for name, metric in metrics.items()}
    sizes = {file: file.stat().st_size for found in files.values() for file in found if not is_loaded(file)}
    # Networks run in float32, so weights stored in half precision take twice their size.
    if 2 * sum(sizes.values()) + RESERVE <= free(device_of(metrics.values())):
        return [list(metrics)]
    groups: list[tuple[set[Path], list[str]]] = [(set(), [])]
    for name, found in files.items():
        known = next((group for group in groups if group[0] & found), None)
        if known is None:
            known = groups[0] if not found or not groups[0][0] else (set(), [])
            if known is not groups[0]:
                groups.append(known)
        known[0].update(found)
        known[1].append(name)
    return [names for _, names in groups if names]


def blocks(chunks: Iterable[T], size: Callable[[T], int], limit: int) -> Iterator[list[T]]:
    """Join successive chunks until they reach `limit` bytes; with a limit of 0, each chunk is its own block."""
    block: list[T] = []
    total = 0
    for chunk in chunks:
        block.append(chunk)
        total += size(chunk)
        if total >= limit:
            yield block
            block, total = [], 0
    if block:
        yield block


def _files(metric: Metric | SetMetric) -> set[Path]:
    """The weight files of a metric that are on this machine."""
    return {file.resolve() for source in sources_of(metric) for file in source.files() if file.suffix in WEIGHTS}
