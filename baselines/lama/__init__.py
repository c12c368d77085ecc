"""LaMa, Suvorov et al., arXiv:2109.07161 (WACV 2022)."""

from brushbench.baselines.lama.generator import Generator
from brushbench.baselines.lama.method import LaMa, LaMaOptions

__all__ = ["Generator", "LaMa", "LaMaOptions"]
