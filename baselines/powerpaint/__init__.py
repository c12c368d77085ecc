"""PowerPaint, Zhuang et al., arXiv:2312.03594."""

from brushbench.baselines.powerpaint.method import PowerPaint, PowerPaintOptions

__all__ = ["PowerPaint", "PowerPaintOptions"]
