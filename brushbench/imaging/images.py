"""Read and write image files."""

import io
import stat
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import final

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from brushbench.core.errors import SampleError, one_line
from brushbench.core.files import file_version
from brushbench.imaging.mask_files import white
from brushbench.imaging.pictures import to_picture

Size = tuple[int, int]
"""(height, width), pixels."""
FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIX_OF = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
UNREAD_SUFFIXES = (
    *(".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".jfif", ".tga", ".ppm", ".pgm"),
    *(".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw"),
)
"""Suffixes of image formats that the suite doesn't read."""
MAX_PIXELS = 1 << 26
"""64 megapixels. A larger image is treated as a decompression bomb."""
MAX_BYTES = 1 << 29
"""The largest file that is read, in bytes: enough for 64 megapixels without compression."""
ORIENTATION = 0x0112
"""The EXIF tag of the orientation; 1 is upright."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that turns an image upright, by its EXIF orientation."""
FIRST_ON_ITS_SIDE = 5
"""The first EXIF orientation that swaps width and height; all later ones do so, too."""
_EXIF = {"exif", "Raw profile type exif"}
DAMAGE = (
    ArithmeticError,
    AssertionError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""The errors that Pillow raises for damaged files."""
OPAQUE = 255
_BIT_DEPTH, _START = 24, 25
"""The offset of the byte in a PNG that states the bits per channel, and the number of bytes to read for it."""
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
"""OpenCV's settings for PNG: zlib's fastest level and run lengths only, as filtered pixels repeat mostly in runs."""
MASK = "mask"
"""Used in place of a Pillow mode to read a mask's white pixels."""


@final
class EncodedImage(io.BytesIO):
    """The bytes of an image that isn't stored in a file of its own, with a name for messages."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def read_image(path: Path | EncodedImage) -> UInt8[Tensor, "3 h w"]:
    """Read a PNG, JPEG or WebP file as RGB, turned upright by its EXIF orientation.

    The upper 8 of 16 bits are used, and alpha is ignored. Raises `SampleError` if the file doesn't exist or can't be
    decoded.
    """
    pixels = _pixels(path, "RGB")
    planes = np.empty((3, *pixels.shape[:2]), dtype=np.uint8)
    # This equals a transposed copy, and is five times as fast.
    cv2.split(pixels, list(planes))
    return torch.from_numpy(planes)


def read_mask(path: Path | EncodedImage) -> Bool[Tensor, "1 h w"]:
    """Read a mask from an image, white = inpaint, in any of the forms that `mask_files.white` knows.

    Raises `SampleError` if the file doesn't exist or can't be decoded, or if its polarity can't be known.
    """
    return torch.from_numpy(_pixels(path, MASK))[None]


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of what `read_image` returns, from the file's header. Raises `SampleError` as it does."""
    with _opened(path) as image:
        turned = _orientation(image) >= FIRST_ON_ITS_SIDE
        return (image.width, image.height) if turned else (image.height, image.width)


def size_or_none(path: Path | None) -> Size | None:
    """The size that `image_size` returns; None if the file doesn't exist or its header can't be read.

    A header is cached until its file changes, as a run opens its data set several times.
    """
    try:
        return _size_of_version(path, file_version(path.stat())) if path else None
    except (OSError, SampleError):
        return None


@lru_cache(maxsize=1 << 16)
def _size_of_version(path: Path, _version: tuple[int, ...]) -> Size:
    return image_size(path)


def file_format(path: Path) -> str:
    """`PNG`, `JPEG` or `WEBP`, whatever the file's suffix. Raises `SampleError` as `read_image` does."""
    with _opened(path) as image:
        # MPO is Pillow's name for a JPEG followed by more images, as phones make them.
        return "JPEG" if image.format == "MPO" else str(image.format)


def is_transparent(path: Path) -> bool:
    """Tell whether any pixel isn't opaque, which `read_image` ignores. Raises `SampleError` as it does."""
    with _opened(path) as image:
        try:
            if not image.has_transparency_data:
                return False
            key = image.info.get("transparency")
            if isinstance(key, int | tuple) and image.mode != "P":
                return _has_colour(image, key, path)
            return bool((np.asarray(image.convert("RGBA").getchannel("A")) < OPAQUE).any())
        except DAMAGE as error:
            raise SampleError(one_line(f"{path.name}: not a readable image ({_said(error)})")) from error


def _has_colour(image: Image.Image, colour: int | tuple[int, ...], path: Path) -> bool:
    """Tell whether a pixel has the one colour that a PNG declares transparent, as Pillow finds it only at 8 bits."""
    with path.open("rb") as file:
        depth = file.read(_START)[_BIT_DEPTH]
    pixels, wanted = np.asarray(image), np.asarray(colour)
    if image.mode == "RGB":
        # Pillow keeps only the upper 8 of 16 bits.
        return bool((pixels == (wanted >> 8 if depth == 16 else wanted)).all(axis=2).any())
    if image.mode == "1":
        return bool((pixels == (wanted > 0)).any())
    return bool((pixels == (wanted * OPAQUE // (2**depth - 1) if depth < 8 else wanted)).any())


def encode_image(image: UInt8[Tensor, "3 h w"], image_format: str) -> bytes:
    """Encode as `PNG` (lossless) or as `JPEG` at Pillow's default quality, which the official script stores.

    benchmarks/png.py found the settings for PNG: files are as small as Pillow's, in a fifth of the time.
    """
    if image_format == "PNG":
        red, green, blue = image.contiguous().numpy()
        return bytes(cv2.imencode(".png", cv2.merge((blue, green, red)), _PNG)[1])
    return _by_pillow(image, image_format)


def encode_for_keeps(image: UInt8[Tensor, "3 h w"]) -> bytes:
    """Encode as PNG with Pillow, for files of data sets, whose digests change with the encoder."""
    return _by_pillow(image, "PNG")


def _by_pillow(image: UInt8[Tensor, "3 h w"], image_format: str) -> bytes:
    buffer = io.BytesIO()
    to_picture(image).save(buffer, format=image_format)
    return buffer.getvalue()


def _pixels(path: Path | EncodedImage, mode: str) -> np.ndarray:
    with _opened(path) as image:
        try:
            return _converted(image, mode)
        except SampleError as error:
            raise SampleError(one_line(f"{path.name}: {error}")) from error
        except DAMAGE as error:
            raise SampleError(one_line(f"{path.name}: not a readable image ({_said(error)})")) from error


def _converted(image: Image.Image, mode: str) -> np.ndarray:
    turn = _TURNS.get(_orientation(image))
    turned = image.transpose(turn) if turn is not None else image
    if mode == MASK:
        return white(turned)
    if turned.mode.startswith("I;16"):
        turned = Image.fromarray((np.asarray(turned) >> 8).astype(np.uint8))
    elif turned.mode in ("I", "F"):
        raise SampleError(f"pixels of mode {turned.mode}; valid: 8 or 16 bits per channel")
    if isinstance(turned.info.get("transparency"), bytes):
        # Alpha is ignored anyway, and Pillow would warn about the transparency of a palette.
        del turned.info["transparency"]
    return np.array(turned if turned.mode == mode else turned.convert(mode))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; as in any viewer, 1 (upright) if the data is broken or states another value."""
    # If the header has no EXIF data, Pillow would decode the whole image to search for it.
    if not _EXIF & image.info.keys():
        return 1
    try:
        value = image.getexif().get(ORIENTATION)
    except DAMAGE:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _opened(path: Path | EncodedImage) -> Image.Image:
    try:
        if isinstance(path, Path):
            _check_file(path)
        image = Image.open(path, formats=FORMATS)
    except FileNotFoundError as error:
        raise SampleError(one_line(f"image not found: {path}")) from error
    except DAMAGE as error:
        raise SampleError(one_line(f"{path.name}: not a PNG, JPEG or WebP image ({_said(error)})")) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise SampleError(one_line(f"{path.name}: {image.width}x{image.height} is over {MAX_PIXELS} pixels"))
    return image


def _check_file(path: Path) -> None:
    """Raise `SampleError` for a file that is too large, or isn't regular: reading a named pipe can block forever."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise SampleError(one_line(f"{path.name}: not a file"))
    if about.st_size > MAX_BYTES:
        raise SampleError(one_line(f"{path.name}: over {MAX_BYTES >> 20} MiB"))


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
