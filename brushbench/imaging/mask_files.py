"""Which pixels of a picture of a mask are white, whatever form it was stored in."""

import numpy as np
from PIL import Image

from brushbench.core.errors import SampleError

WHITE = 128
"""The level, of 255, from which grey counts as white."""
_FULL, _FULL_16 = 255, 65535


def white(picture: Image.Image) -> np.ndarray:
    """bool [h, w]: where a mask is white, which is where to paint.

    * Values count from `WHITE` on, unless they are all 0 or 1: then 1 is white. Of 16 bits per pixel likewise, with 0
      and 255 too.
    * Colours count by their brightness. A palette with black at 0 and one other colour in use: that one is white.
    * Where transparency varies, only what is white and opaque counts; where it is the same everywhere it means nothing.

    Raises `SampleError` for a mask that is all black in its colours and varies in its transparency, whose polarity
    nobody can know, and for pixels of 32 bits.
    """
    if picture.mode in ("I", "F"):
        raise SampleError(f"mask has pixels of mode {picture.mode}: valid are 8 or 16 bits per channel")
    if picture.mode.startswith("I;16"):
        return _from(np.asarray(picture), _FULL_16)
    if picture.mode == "P" and "transparency" not in picture.info:
        return _of_palette(picture)
    if not picture.has_transparency_data:
        return _from(np.asarray(picture.convert("L")), _FULL)
    alpha = np.asarray(picture.convert("RGBA").getchannel("A"))
    grey = np.asarray(picture.convert("RGBA").convert("RGB").convert("L"))
    if alpha.min(initial=_FULL) == alpha.max(initial=0):
        return _from(grey, _FULL)
    if not grey.any():
        raise SampleError("mask is black, only its transparency varies: valid is white = paint, without transparency")
    return np.asarray(_from(grey, _FULL) & _from(alpha, _FULL))


def _of_palette(picture: Image.Image) -> np.ndarray:
    indices = np.asarray(picture)
    grey = np.asarray(picture.convert("L"))
    used = np.unique(indices)
    if len(used) == 2 and used[0] == 0 and not grey[indices == 0].any():
        return np.asarray(indices > 0)
    return _from(grey, _FULL)


def _from(values: np.ndarray, full: int) -> np.ndarray:
    highest = int(values.max(initial=0))
    if highest <= 1:
        return np.asarray(values == 1)
    return np.asarray(values >= (WHITE if highest <= _FULL else WHITE * (full + 1) // (_FULL + 1)))
