"""Files to pixels and back."""

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
"""Suffixes of pictures in formats that aren't read."""
MAX_PIXELS = 1 << 26
"""64 megapixels: more is taken for a decompression bomb."""
MAX_BYTES = 1 << 29
"""The largest file that is read: 64 megapixels that no format has made any smaller."""
ORIENTATION = 0x0112
"""The EXIF tag: 1 is upright."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""
FIRST_ON_ITS_SIDE = 5
"""From this orientation on width and height change places."""
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
"""What Pillow raises for damaged files."""
OPAQUE = 255
_BIT_DEPTH, _START = 24, 25
"""Where a PNG says how many bits a channel has, and as much of it as tells that."""
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
"""How OpenCV encodes a PNG: zlib's fastest level, and of repetitions only runs, of which filtered pixels have most."""
MASK = "mask"
"""In place of a mode of Pillow: where a mask is white."""


@final
class EncodedImage(io.BytesIO):
    """The bytes of an image that is in no file of its own, with a name for messages."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def read_image(path: Path | EncodedImage) -> UInt8[Tensor, "3 h w"]:
    """A PNG, JPEG or WebP file as RGB, turned as its EXIF orientation says; of 16 bits the upper 8, no alpha.

    Raises `SampleError` if there is no such file, or it can't be decoded.
    """
    pixels = _pixels(path, "RGB")
    planes = np.empty((3, *pixels.shape[:2]), dtype=np.uint8)
    # The same as a transposed copy, and five times as fast.
    cv2.split(pixels, list(planes))
    return torch.from_numpy(planes)


def read_mask(path: Path | EncodedImage) -> Bool[Tensor, "1 h w"]:
    """A picture of a mask, white = paint, in any of the forms that `mask_pictures.white` knows.

    Raises `SampleError` if there is no such file, if it can't be decoded, or if nobody can know what is to be painted.
    """
    return torch.from_numpy(_pixels(path, MASK))[None]


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of what `read_image` gives, from the file's header. Raises `SampleError` as it does."""
    with _opened(path) as image:
        turned = _orientation(image) >= FIRST_ON_ITS_SIDE
        return (image.width, image.height) if turned else (image.height, image.width)


def size_or_none(path: Path | None) -> Size | None:
    """The size that `image_size` gives, None if there is no such file or its header can't be read.

    A header is read again only when its file has changed: one data set is opened several times in a run.
    """
    try:
        return _size_of_version(path, file_version(path.stat())) if path else None
    except (OSError, SampleError):
        return None


@lru_cache(maxsize=1 << 16)
def _size_of_version(path: Path, _version: tuple[int, ...]) -> Size:
    return image_size(path)


def file_format(path: Path) -> str:
    """`PNG`, `JPEG` or `WEBP`, whatever the file is called. Raises `SampleError` as `read_image` does."""
    with _opened(path) as image:
        # What Pillow calls MPO is a JPEG with others behind it, as phones make them.
        return "JPEG" if image.format == "MPO" else str(image.format)


def is_transparent(path: Path) -> bool:
    """Whether any pixel isn't opaque, which `read_image` passes over. Raises `SampleError` as it does."""
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
    """Whether a pixel has the one colour that a PNG declares transparent: Pillow does so for 8 bits alone."""
    with path.open("rb") as file:
        depth = file.read(_START)[_BIT_DEPTH]
    pixels, wanted = np.asarray(image), np.asarray(colour)
    if image.mode == "RGB":
        # Of 16 bits the upper 8 are left.
        return bool((pixels == (wanted >> 8 if depth == 16 else wanted)).all(axis=2).any())
    if image.mode == "1":
        return bool((pixels == (wanted > 0)).any())
    return bool((pixels == (wanted * OPAQUE // (2**depth - 1) if depth < 8 else wanted)).any())


def encode_image(image: UInt8[Tensor, "3 h w"], image_format: str) -> bytes:
    """`PNG` (lossless) or `JPEG` at Pillow's default quality, which is what the official script stores.

    The setting for PNG is the one that benchmarks/png.py has found: as small as Pillow's, in a fifth of the time.
    """
    if image_format == "PNG":
        red, green, blue = image.contiguous().numpy()
        return bytes(cv2.imencode(".png", cv2.merge((blue, green, red)), _PNG)[1])
    return _by_pillow(image, image_format)


def encode_for_keeps(image: UInt8[Tensor, "3 h w"]) -> bytes:
    """PNG as Pillow writes it, for files of data sets: these are told by their bytes, so no encoder takes its place."""
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
        raise SampleError(f"pixels of mode {turned.mode}: valid are 8 or 16 bits per channel")
    if isinstance(turned.info.get("transparency"), bytes):
        # Of a palette; alpha is left out in any case, and Pillow would warn of it.
        del turned.info["transparency"]
    return np.array(turned if turned.mode == mode else turned.convert(mode))


def _orientation(image: Image.Image) -> int:
    """1 to 8; upright, as in any viewer, where the EXIF data is broken or says something else."""
    # Asked for EXIF data that isn't in the header, Pillow would decode the whole picture.
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
    """A named pipe would be waited for without end."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise SampleError(one_line(f"{path.name}: not a file"))
    if about.st_size > MAX_BYTES:
        raise SampleError(one_line(f"{path.name}: over {MAX_BYTES >> 20} MiB"))


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
