"""What kind of masks a data set has: along objects, or drawn without regard to them."""

from typing import Literal

MaskKind = Literal["segmentation", "random"]
RANDOM_DATASETS = {"editbench"}
"""Data sets whose masks are drawn by hand, on every split."""
RANDOM_SPLITS = {"brush"}
"""Splits of any data set whose masks are drawn strokes."""


def mask_kind(dataset: str, split: str) -> MaskKind:
    """`segmentation` where masks follow the objects' outlines, or nobody knows; `random` where they are strokes."""
    return "random" if dataset in RANDOM_DATASETS or split in RANDOM_SPLITS else "segmentation"
