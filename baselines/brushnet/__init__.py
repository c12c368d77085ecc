"""BrushNet, Ju et al., arXiv:2403.06976 (ECCV 2024)."""

from brushbench.baselines.brushnet.method import BrushNet, BrushNetOptions
from brushbench.baselines.brushnet.model import BrushNetModel
from brushbench.baselines.brushnet.residuals import Residuals, take_residuals, with_residuals

__all__ = ["BrushNet", "BrushNetModel", "BrushNetOptions", "Residuals", "take_residuals", "with_residuals"]
