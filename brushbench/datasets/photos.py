"""The embedded data set `photos`: photographs that ship with scikit-image, with our captions and object masks.

For each photograph, photos.json has the file, the crop (x, y, width, height in pixels), the caption and the outline of
the object, as polygons in the 512x512 picture to which the crop is resized.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import final

import numpy as np
import skimage.data
import torch
from PIL import Image, ImageDraw
from pydantic import BaseModel

from brushbench.core.errors import UserError
from brushbench.core.types import Sample
from brushbench.datasets.source import check_split, digest_of_parts, iterate

SPLITS = ("inside", "outside")
_DESCRIPTION = Path(__file__).with_name("photos.json")
_SOURCES = Path(skimage.data.__file__).parent


class _Photo(BaseModel, extra="forbid"):
    id: str
    file: str
    crop: tuple[int, int, int, int]
    caption: str
    subject: str
    polygons: list[list[tuple[float, float]]]
    holes: list[list[tuple[float, float]]]


class _Description(BaseModel, extra="forbid"):
    size: int
    photos: list[_Photo]


@final
class Photos:
    """Real photographs, 512x512; `inside` inpaints the object, `outside` everything except it."""

    def __init__(self, split: str) -> None:
        check_split(split, SPLITS)
        self.name = "photos"
        self.split = split
        description = _Description.model_validate(json.loads(_DESCRIPTION.read_text(encoding="utf-8")))
        self._size = description.size
        self._photos = description.photos

    @classmethod
    def open(cls, root: str | Path | None, split: str) -> "Photos":
        """Open a split; `root` must be None, since the photographs come with scikit-image."""
        if root is not None:
            raise UserError("data set 'photos' is embedded and takes no --root")
        return cls(split)

    @property
    def ids(self) -> Sequence[str]:
        """The photographs' names."""
        return tuple(photo.id for photo in self._photos)

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """What each photograph shows, as `subject`."""
        return {photo.id: {"subject": photo.subject} for photo in self._photos}

    def digest(self) -> str:
        """Hash of the description and of scikit-image's files."""
        return digest_of_parts([_DESCRIPTION, *(_SOURCES / photo.file for photo in self._photos)])

    def __len__(self) -> int:
        return len(self._photos)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        photo = self._photos[index]
        x, y, width, height = photo.crop
        with Image.open(_SOURCES / photo.file) as source:
            cropped = source.convert("RGB").crop((x, y, x + width, y + height))
        pixels = np.array(cropped.resize((self._size, self._size), Image.Resampling.LANCZOS))
        mask = self._object_mask(photo)
        return Sample(
            photo.id,
            torch.from_numpy(pixels).permute(2, 0, 1).contiguous(),
            torch.from_numpy(mask if self.split == "inside" else ~mask)[None],
            photo.caption,
            {"subject": photo.subject},
        )

    def _object_mask(self, photo: _Photo) -> np.ndarray:
        canvas = Image.new("L", (self._size, self._size))
        draw = ImageDraw.Draw(canvas)
        for fill, polygons in ((1, photo.polygons), (0, photo.holes)):
            for polygon in polygons:
                draw.polygon(polygon, fill=fill)
        return np.array(canvas) > 0
