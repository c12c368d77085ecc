"""HD-Painter, Manukyan et al., arXiv:2312.14091."""

from brushbench.baselines.hd_painter.method import HDPainter, HDPainterOptions

__all__ = ["HDPainter", "HDPainterOptions"]
