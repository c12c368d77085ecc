"""BrushNet: Ju et al., arXiv:2403.06976 (ECCV 2024)."""

from baselines.brushnet.method import BrushNet, BrushNetOptions
from baselines.brushnet.model import BrushNetModel
from baselines.brushnet.residuals import Residuals, with_residuals

__all__ = ["BrushNet", "BrushNetModel", "BrushNetOptions", "Residuals", "with_residuals"]
