"""Samples on their way from one format to another, with each image as the bytes of a lossless or untouched file."""

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
    """A sample that can be written in any format."""

    id: str
    caption: str
    tags: Mapping[str, str]
    image: bytes
    """An image file: the sample's own if every program reads the same pixels from it, else a PNG."""
    suffix: str
    """Suffix of the image file's name."""
    masks: Mapping[str, Bool[Tensor, "h w"]]
    """Masks by split."""

    @property
    def file(self) -> str:
        """Name of the image file."""
        return f"{self.id}{self.suffix}"


def rows_of(
    datasets: Mapping[str, Dataset], watch: ProgressCallback, damaged: list[str] | None
) -> Iterator[PortableSample]:
    """Yield the samples in order; `datasets` has the same samples by split.

    The ids of damaged samples are added to `damaged`; if it is None, a damaged sample raises `UserError`.
    """
    first = next(iter(datasets.values()))
    advance = watch("converting", len(first), 0)
    for index, name in enumerate(first.ids):
        try:
            row = _row(datasets, index)
        except SampleError as error:
            if damaged is None:
                hint = "`data verify` finds all such samples, and --skip-damaged leaves them out"
                raise UserError(one_line(f"{name}: {error}; {hint}")) from error
            damaged.append(name)
            advance(1, 1)
            continue
        yield row
        advance(1, 0)


def tag_names(dataset: Dataset) -> Sequence[str]:
    """Return the tags that any sample has, sorted."""
    return sorted({key for tags in dataset.tags().values() for key in tags})


def _row(datasets: Mapping[str, Dataset], index: int) -> PortableSample:
    samples = {split: dataset[index] for split, dataset in datasets.items()}
    sample = next(iter(samples.values()))
    image, image_format = _encoded(next(iter(datasets.values())), index, sample)
    masks = {split: each.mask[0] for split, each in samples.items()}
    return PortableSample(sample.id, sample.caption, sample.tags, image, SUFFIX_OF[image_format], masks)


def _encoded(dataset: Dataset, index: int, sample: Sample) -> tuple[bytes, str]:
    """Return a file of exactly the sample's pixels, and its format."""
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
    """Return the format of an 8-bit RGB picture that is upright and alone in its file; None for any other."""
    with Image.open(EncodedImage(content, ""), formats=FORMATS) as image:
        upright = "exif" not in image.info or image.getexif().get(ORIENTATION, 1) == 1
        return image.format if image.mode == "RGB" and upright and getattr(image, "n_frames", 1) == 1 else None
