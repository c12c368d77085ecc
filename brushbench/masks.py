"""Public functions for masks: decode and encode run lengths, draw the strokes of the `brush` split, erase, blend."""

from brushbench.imaging.masks import blend, brush_strokes, decode_rle, encode_rle, erase

__all__ = ["blend", "brush_strokes", "decode_rle", "encode_rle", "erase"]
