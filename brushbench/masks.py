"""Masks, for users of the suite: run lengths as data sets store them, strokes as the `brush` split draws them."""

from brushbench.imaging.masks import blend, brush_strokes, decode_rle, encode_rle, erase

__all__ = ["blend", "brush_strokes", "decode_rle", "encode_rle", "erase"]
