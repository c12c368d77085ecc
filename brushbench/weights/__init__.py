"""Weights of methods and metrics: from a name to files that are complete, checked and locked."""

from brushbench.weights.family import (
    BASE,
    DEFAULT_FAMILY,
    FAMILIES,
    MODEL,
    SINGLE_FILES,
    Component,
    Family,
    families,
    is_single_file,
    read_family,
)
from brushbench.weights.resolver import Weights

__all__ = [
    "BASE",
    "DEFAULT_FAMILY",
    "FAMILIES",
    "MODEL",
    "SINGLE_FILES",
    "Component",
    "Family",
    "Weights",
    "families",
    "is_single_file",
    "read_family",
]
