"""LaMa, Suvorov et al., arXiv:2109.07161 (WACV 2022)."""

from brushbench.baselines.lama.generator import LaMaGenerator
from brushbench.baselines.lama.method import LaMa, LaMaOptions

__all__ = ["LaMa", "LaMaGenerator", "LaMaOptions"]
