"""Files to pixels and back."""

import io
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from brushbench.errors import SampleError, one_line
from brushbench.mask_pictures import white

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_PIXELS = 1 << 26
"""64 megapixels: more is taken for a decompression bomb."""
ORIENTATION = 0x0112
"""The EXIF tag: 1 is upright, and from `FIRST_ON_ITS_SIDE` on width and height change places."""
FIRST_ON_ITS_SIDE = 5
MASK = "mask"
"""In place of a mode of Pillow: where a mask is white."""
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def read_image(path: Path) -> UInt8[Tensor, "3 h w"]:
    """A PNG, JPEG or WebP file as RGB, turned as its EXIF orientation says; of 16 bits the upper 8, no alpha.

    Raises `SampleError` if there is no such file, or it can't be decoded.
    """
    return torch.from_numpy(_pixels(path, "RGB")).permute(2, 0, 1).contiguous()


def read_mask(path: Path) -> Bool[Tensor, "1 h w"]:
    """A picture of a mask, white = paint, in any of the forms that `mask_pictures.white` knows.

    Raises `SampleError` if there is no such file, if it can't be decoded, or if nobody can know what is to be painted.
    """
    return torch.from_numpy(_pixels(path, MASK))[None]


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of what `read_image` gives, from the file's header. Raises `SampleError` as it does."""
    with _opened(path) as image:
        # Asked for EXIF data that isn't in the header, Pillow would decode the whole picture.
        turned = "exif" in image.info and image.getexif().get(ORIENTATION, 1) >= FIRST_ON_ITS_SIDE
        return (image.width, image.height) if turned else (image.height, image.width)


def encode_image(image: UInt8[Tensor, "3 h w"], image_format: str) -> bytes:
    """`PNG` (lossless) or `JPEG` at Pillow's default quality, which is what the official script stores."""
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(buffer, format=image_format)
    return buffer.getvalue()


def _pixels(path: Path, mode: str) -> np.ndarray:
    with _opened(path) as image:
        try:
            turned = ImageOps.exif_transpose(image)
            if mode == MASK:
                return white(turned)
            if turned.mode.startswith("I;16"):
                turned = Image.fromarray((np.asarray(turned) >> 8).astype(np.uint8))
            elif turned.mode in ("I", "F"):
                raise SampleError(f"{path.name}: pixels of mode {turned.mode}: valid are 8 or 16 bits per channel")
            return np.array(turned.convert(mode))
        except (OSError, SyntaxError, ValueError) as error:
            raise SampleError(one_line(f"{path.name}: not a readable image ({error})")) from error


def _opened(path: Path) -> Image.Image:
    try:
        image = Image.open(path, formats=FORMATS)
    except FileNotFoundError as error:
        raise SampleError(one_line(f"image not found: {path}")) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, *_BOMBS) as error:
        raise SampleError(one_line(f"{path.name}: not a PNG, JPEG or WebP image ({error})")) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise SampleError(one_line(f"{path.name}: {image.width}x{image.height} is over {MAX_PIXELS} pixels"))
    return image
