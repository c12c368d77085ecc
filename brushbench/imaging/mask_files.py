"""Find the white pixels of a mask, in whatever form it is stored."""

import numpy as np
from PIL import Image

from brushbench.core.errors import SampleError

WHITE = 128
"""The lowest grey level, out of 255, that counts as white."""
_FULL, _FULL_16 = 255, 65535


def white(picture: Image.Image) -> np.ndarray:
    """The white pixels of a mask, which are the pixels to inpaint; bool [h, w].

    * Values from `WHITE` up are white. If all values are 0 or 1, 1 is white. At 16 bits per pixel, `WHITE` is scaled to
      16 bits unless all values are at most 255.
    * Colours count by their brightness. If a palette uses black at index 0 and one other colour, that colour is white.
    * If transparency varies, only white and opaque pixels count. Uniform transparency is ignored.

    Raises `SampleError` for 32-bit pixels, and for a mask whose colours are all black while its transparency varies,
    as its polarity can't be known.
    """
    if picture.mode in ("I", "F"):
        raise SampleError(f"mask has pixels of mode {picture.mode}; valid: 8 or 16 bits per channel")
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
        raise SampleError("mask is black and only its transparency varies; valid: white = inpaint, no transparency")
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
