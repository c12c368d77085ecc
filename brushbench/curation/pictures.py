"""Inspect an image file: its format, colours and EXIF data, and whether it can be decoded at all."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from brushbench.core.errors import SampleError
from brushbench.core.files import file_digest
from brushbench.datasets.defects import DataFinding
from brushbench.imaging.images import DAMAGE, FORMATS, MAX_PIXELS, ORIENTATION, Size, read_image

_SUFFIXES = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",)}
_START, _BIT_DEPTH = 32, 24
"""How many bytes identify a file's format, and the position of a PNG's bits per channel.

Pillow reports a 16-bit RGB picture as an 8-bit one.
"""
_END = 1024
"""A picture ends within so many bytes of its file's end; programs may append data of their own."""
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass(frozen=True, slots=True)
class Picture:
    """What was found in one image file."""

    findings: tuple[DataFinding, ...]
    file_format: str = ""
    """Empty if it is not a supported format."""
    bytes_digest: str = ""
    pixels_digest: str = ""
    """Empty if the file cannot be decoded."""
    size: Size | None = None
    """Size of the upright picture."""


def inspect_picture(path: Path, name: str) -> Picture:
    """Inspect the image file of the sample `name`."""
    if not path.is_file():
        return Picture((DataFinding("missing-image", name, path.name),))
    start = b""
    try:
        with path.open("rb") as file:
            start = file.read(_START)
        digest = file_digest(path)
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{image.width}x{image.height}")
            file_format = str(image.format)
            findings = tuple(_about(image, path, start, name))
        pixels = read_image(path)
    except (*DAMAGE, SampleError) as error:
        return Picture((_why_not(error, path, start, name),))
    return Picture(findings, file_format, digest, _digest(pixels), (pixels.shape[1], pixels.shape[2]))


def picture_of(pixels: UInt8[Tensor, "3 h w"]) -> Picture:
    """Describe an image whose file was not inspected."""
    return Picture((), pixels_digest=_digest(pixels), size=(pixels.shape[1], pixels.shape[2]))


def grey_levels(path: Path) -> int:
    """Count how many of the 256 grey values occur in the picture of a mask."""
    with Image.open(path, formats=FORMATS) as image:
        # A palette with transparent colours can't be converted to grey directly.
        plain = image.convert("RGBA") if image.has_transparency_data else image
        return sum(count > 0 for count in plain.convert("L").histogram())


def is_truncated(path: Path) -> bool:
    """Tell whether a file in a supported format lacks its end. A file that has it may still be damaged."""
    try:
        with path.open("rb") as file:
            start = file.read(_START)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END))
            end = file.read()
    except OSError:
        return False
    if start[8:12] == b"WEBP":
        return size < int.from_bytes(start[4:8], "little") + 8
    return _ours(start) and (b"IEND" if start.startswith(b"\x89PNG") else b"\xff\xd9") not in end


def _why_not(error: Exception, path: Path, start: bytes, name: str) -> DataFinding:
    """Turn the error that ended the decoding into a finding."""
    if isinstance(error, _BOMBS):
        return DataFinding("too-large", name, f"{path.name}: {error}")
    if is_truncated(path):
        return DataFinding("truncated", name, str(error))
    if isinstance(error, UnidentifiedImageError):
        what = "is damaged" if _ours(start) else "is not a PNG, JPEG or WebP image" if start else "is empty"
        return DataFinding("undecodable" if _ours(start) else "wrong-format", name, f"{path.name} {what}")
    return DataFinding("undecodable", name, str(error))


def _about(image: Image.Image, path: Path, start: bytes, name: str) -> Iterator[DataFinding]:
    if path.suffix.lower() not in _SUFFIXES[str(image.format)]:
        yield DataFinding("wrong-suffix", name, f"{path.name} is {image.format}")
    deep = image.format == "PNG" and len(start) > _BIT_DEPTH and start[_BIT_DEPTH] == 16
    if image.mode != "RGB" or deep:
        yield DataFinding("colour-mode", name, f"{path.name}: {image.mode}{', 16 bits' if deep else ''}")
    # To look for EXIF data outside the header, Pillow would decode the whole picture.
    orientation = image.getexif().get(ORIENTATION, 1) if "exif" in image.info else 1
    if orientation != 1:
        yield DataFinding("exif-orientation", name, f"{path.name}: orientation {orientation}")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        yield DataFinding("several-frames", name, f"{path.name}: {frames} frames")


def _digest(pixels: UInt8[Tensor, "3 h w"]) -> str:
    return hashlib.sha256(str(tuple(pixels.shape)).encode() + pixels.numpy().tobytes()).hexdigest()


def _ours(start: bytes) -> bool:
    """Tell whether the file begins like a supported format."""
    return start.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or start[8:12] == b"WEBP"
