"""Samples on their way from one format into another: images as bytes of a lossless or untouched file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.progress import ProgressCallback
from brushbench.core.types import Dataset, Sample
from brushbench.datasets.parquet import Parquet
from brushbench.datasets.source import OnDisk
from brushbench.imaging.images import FORMATS, ORIENTATION, SUFFIX_OF, EncodedImage, encode_for_keeps, read_image


@dataclass(frozen=True, slots=True)
class PortableSample:
    """One sample."""

    id: str
    caption: str
    tags: Mapping[str, str]
    image: bytes
    """An image file: the one that the sample came from, if every program reads the same pixels from it, else a PNG."""
    suffix: str
    """The suffix of that file's name."""
    masks: Mapping[str, Bool[Tensor, "h w"]]
    """By split."""

    @property
    def file(self) -> str:
        """The name of the image's file."""
        return f"{self.id}{self.suffix}"


def rows_of(
    datasets: Mapping[str, Dataset], watch: ProgressCallback, damaged: list[str] | None
) -> Iterator[PortableSample]:
    """The samples in order; `datasets` has the same ones by split.

    Ids of damaged samples go to `damaged`; without it, one raises `UserError`.
    """
    first = next(iter(datasets.values()))
    advance = watch("converting", len(first), 0)
    for index, name in enumerate(first.ids):
        try:
            row = _row(datasets, index)
        except SampleError as error:
            if damaged is None:
                hint = "`data verify` looks for all such samples, --skip-damaged leaves them out"
                raise UserError(one_line(f"{name}: {error}; {hint}")) from error
            damaged.append(name)
            advance(1, 1)
            continue
        yield row
        advance(1, 0)


def tag_names(dataset: Dataset) -> Sequence[str]:
    """All that any sample has, sorted."""
    return sorted({key for tags in dataset.tags().values() for key in tags})


def _row(datasets: Mapping[str, Dataset], index: int) -> PortableSample:
    samples = {split: dataset[index] for split, dataset in datasets.items()}
    sample = next(iter(samples.values()))
    image, image_format = _encoded(next(iter(datasets.values())), index, sample)
    masks = {split: each.mask[0] for split, each in samples.items()}
    return PortableSample(sample.id, sample.caption, sample.tags, image, SUFFIX_OF[image_format], masks)


def _encoded(dataset: Dataset, index: int, sample: Sample) -> tuple[bytes, str]:
    """A file of exactly the sample's pixels, and its format."""
    content = _stored(dataset, index)
    image_format = _plain_format(content) if content else None
    if content and image_format and torch.equal(read_image(EncodedImage(content, sample.id)), sample.image):
        return content, image_format
    return encode_for_keeps(sample.image), "PNG"


def _stored(dataset: Dataset, index: int) -> bytes | None:
    if isinstance(dataset, Parquet):
        return dataset.encoded_image(index).getvalue()
    path = dataset.image_file(index) if isinstance(dataset, OnDisk) else None
    return path.read_bytes() if path else None


def _plain_format(content: bytes) -> str | None:
    """The format of a picture with 8 bits of RGB, upright and alone in its file; None for any other."""
    with Image.open(EncodedImage(content, ""), formats=FORMATS) as image:
        upright = "exif" not in image.info or image.getexif().get(ORIENTATION, 1) == 1
        return image.format if image.mode == "RGB" and upright and getattr(image, "n_frames", 1) == 1 else None
