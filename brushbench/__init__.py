"""BrushBench: a benchmark and evaluation suite for text-guided image inpainting.

The names below are the public API. Each is imported on first use, so that `import brushbench` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brushbench.core.dataset_info import DatasetInfo
    from brushbench.core.errors import UserError
    from brushbench.core.metric_info import MetricInfo
    from brushbench.core.types import Batch, Sample
    from brushbench.datasets.open import load_dataset
    from brushbench.evaluation.evaluate import run, score
    from brushbench.evaluation.methods import load_method
    from brushbench.evaluation.select_metrics import load_metric, load_set_metric
    from brushbench.imaging import masks
    from brushbench.reports.frame import frame
    from brushbench.runs.config import RunConfig
    from brushbench.weights.runtime import Runtime

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
    "load_set_metric",
    "masks",
    "run",
    "score",
]

_HOMES = {
    "Batch": "brushbench.core.types",
    "DatasetInfo": "brushbench.core.dataset_info",
    "MetricInfo": "brushbench.core.metric_info",
    "RunConfig": "brushbench.runs.config",
    "Runtime": "brushbench.weights.runtime",
    "Sample": "brushbench.core.types",
    "UserError": "brushbench.core.errors",
    "frame": "brushbench.reports.frame",
    "load_dataset": "brushbench.datasets.open",
    "load_method": "brushbench.evaluation.methods",
    "load_metric": "brushbench.evaluation.select_metrics",
    "load_set_metric": "brushbench.evaluation.select_metrics",
    "run": "brushbench.evaluation.evaluate",
    "score": "brushbench.evaluation.evaluate",
}


# Any: the public names are classes, functions and the module `masks`.
def __getattr__(name: str) -> Any:
    if name == "masks":
        return importlib.import_module("brushbench.masks")
    if name in _HOMES:
        return vars(importlib.import_module(_HOMES[name]))[name]
    raise AttributeError(f"module 'brushbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
