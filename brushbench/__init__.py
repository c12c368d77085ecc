"""BrushBench: a benchmark and evaluation suite for text-guided image inpainting.

The names below are the public API; each is imported when it is first used, so that `import brushbench` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brushbench import masks
    from brushbench.benchmark import run, score
    from brushbench.config import RunConfig
    from brushbench.dataset_info import DatasetInfo
    from brushbench.errors import UserError
    from brushbench.loading import Runtime, load_dataset, load_method, load_metric
    from brushbench.metric_info import MetricInfo
    from brushbench.reports.frame import frame
    from brushbench.types import Batch, Sample

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "DatasetInfo",
    "MetricInfo",
    "RunConfig",
    "Runtime",
    "Sample",
    "UserError",
    "frame",
    "load_dataset",
    "load_method",
    "load_metric",
    "masks",
    "run",
    "score",
]

_HOMES = {
    "Batch": "brushbench.types",
    "DatasetInfo": "brushbench.dataset_info",
    "MetricInfo": "brushbench.metric_info",
    "RunConfig": "brushbench.config",
    "Runtime": "brushbench.loading",
    "Sample": "brushbench.types",
    "UserError": "brushbench.errors",
    "frame": "brushbench.reports.frame",
    "load_dataset": "brushbench.loading",
    "load_method": "brushbench.loading",
    "load_metric": "brushbench.loading",
    "run": "brushbench.benchmark",
    "score": "brushbench.benchmark",
}


# Any: the public names are classes, functions and the module of masks.
def __getattr__(name: str) -> Any:
    if name == "masks":
        return importlib.import_module("brushbench.masks")
    if name in _HOMES:
        return vars(importlib.import_module(_HOMES[name]))[name]
    raise AttributeError(f"module 'brushbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
