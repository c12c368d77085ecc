"""Inpainting methods: `(Batch, seeds) -> images`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brushbench.baselines.brushnet.pipeline import BrushNetPipeline

__all__ = ["BrushNetPipeline"]


# Any: the class, which is imported when it is first used, as it takes diffusers along.
def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("brushbench.baselines.brushnet.pipeline"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
