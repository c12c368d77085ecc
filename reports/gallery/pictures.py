"""The pictures of a gallery: thumbnails for the grid, and full ones for the detail."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from brushbench.imaging.images import EncodedImage, encode_image, read_image
from brushbench.imaging.pictures import to_picture
from brushbench.reports.gallery.folder import FULL, PICTURES, Folder, key_of

THUMB, QUALITY, EFFORT = 256, 80, 2
"""Longer side in pixels and WebP's quality; an effort of 4, its default, takes twice as long for 4 % fewer bytes."""
Picture = UInt8[Tensor, "3 h w"]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Writes pictures that aren't there yet."""

    folder: Folder
    largest: int | None = None
    """Longest side of a full picture, in pixels; None for any."""
    copies: bool = True
    """False: full pictures of runs stay where they are."""

    def stored(self, file: Path, content: bytes) -> str:
        """Add the image of a run, given its bytes; return its key. Raises `SampleError` if it can't be decoded."""
        key = key_of(content)
        thumb, full = thumb_name(key), full_name(key, self.suffix(file))
        if self.folder.has(thumb) and (not self.copies or self.folder.has(full)):
            return key
        image = read_image(EncodedImage(content, file.name))
        self.folder.put(thumb, _webp(image))
        if self.copies:
            self.folder.put(full, self._full(image, content))
        return key

    def made(self, image: Picture, *, full: bool) -> str:
        """Add a picture that no file contains; return its key."""
        key = key_of(image.contiguous().numpy().tobytes(), str(tuple(image.shape)))
        if not self.folder.has(thumb_name(key)):
            self.folder.put(thumb_name(key), _webp(image))
        if full and not self.folder.has(name := full_name(key, self.suffix())):
            self.folder.put(name, encode_image(self._reduced(image), "PNG"))
        return key

    def suffix(self, file: Path | None = None) -> str:
        """Return the suffix of the full picture of a run's image, or of one that is in no file."""
        if self.largest:
            return f"-{self.largest}.png"
        return file.suffix if file else ".png"

    def _full(self, image: Picture, content: bytes) -> bytes:
        """The bytes as they are, unless the picture is too large."""
        return encode_image(self._reduced(image), "PNG") if self.largest else content

    def _reduced(self, image: Picture) -> UInt8[Tensor, "3 _ _"]:
        if not self.largest or max(image.shape[1:]) <= self.largest:
            return image
        return _tensor(_thumbnail(image, self.largest))


def thumb_name(key: str) -> str:
    """Return the file of a thumbnail."""
    return f"{PICTURES}/{key[:2]}/{key}.webp"


def full_name(key: str, suffix: str) -> str:
    """Return the file of a full picture."""
    return f"{FULL}/{key[:2]}/{key}{suffix}"


def _webp(image: Picture) -> bytes:
    buffer = io.BytesIO()
    _thumbnail(image, THUMB).save(buffer, format="WEBP", quality=QUALITY, method=EFFORT)
    return buffer.getvalue()


def _thumbnail(image: Picture, longest: int) -> Image.Image:
    picture = to_picture(image)
    picture.thumbnail((longest, longest))
    return picture


def _tensor(picture: Image.Image) -> Picture:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
