"""The types that methods, metrics and data sets share.

Everywhere, images are uint8, RGB, 0..255, channels first. Masks are bool and True for the pixels to inpaint, the
*painted* region; the rest is the *known* region.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, UInt8
from torch import Tensor

from brushbench.core.errors import UserError
from brushbench.core.metric_info import MetricInfo


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its mask and the caption of the inpainted image.

    Raises `UserError` if a tensor's dtype or shape isn't the one stated here.
    """

    id: str
    """Unique in its data set."""
    image: UInt8[Tensor, "3 h w"]
    """The source image, RGB, 0..255."""
    mask: Bool[Tensor, "1 h w"]
    """True = inpaint."""
    caption: str
    """What the inpainted image shows."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Names and values by which reports can group, for example `{"subject": "animal"}`."""

    def __post_init__(self) -> None:
        size = tuple(self.image.shape[1:])
        if self.image.dtype != torch.uint8 or self.image.ndim != 3 or self.image.shape[0] != 3:
            raise UserError(f"sample {self.id!r}: image is {_described(self.image)}, must be uint8 [3, h, w]")
        if self.mask.dtype != torch.bool or tuple(self.mask.shape) != (1, *size):
            raise UserError(f"sample {self.id!r}: mask is {_described(self.mask)}, must be bool {[1, *size]}")

    def __repr__(self) -> str:
        """The id, size, masked share, caption and tags, without the pixels."""
        size = "x".join(map(str, self.image.shape[1:]))
        masked = f"{self.mask.float().mean().item():.0%} masked"
        return f"<Sample {self.id!r}, {size}, {masked}, {self.caption!r}, {dict(self.tags)}>"


@dataclass(frozen=True, slots=True)
class Batch:
    """n samples of one size, stacked, as methods and metrics get them."""

    ids: tuple[str, ...]
    """One per sample."""
    images: UInt8[Tensor, "n 3 h w"]
    """The source images, RGB, 0..255."""
    masks: Bool[Tensor, "n 1 h w"]
    """True = inpaint."""
    captions: tuple[str, ...]
    """One per sample."""

    @staticmethod
    def of(samples: Sequence[Sample]) -> "Batch":
        """Stack samples in their order. Raises `UserError` if the list is empty or the sizes differ."""
        sizes = {tuple(sample.image.shape[1:]) for sample in samples}
        if len(sizes) != 1:
            found = ", ".join(f"{height}x{width}" for height, width in sorted(sizes)) or "no sample"
            raise UserError(f"all samples of a batch must have one size, got {found}")
        return Batch(
            ids=tuple(sample.id for sample in samples),
            images=torch.stack([sample.image for sample in samples]),
            masks=torch.stack([sample.mask for sample in samples]),
            captions=tuple(sample.caption for sample in samples),
        )

    def __post_init__(self) -> None:
        count, size = len(self.ids), tuple(self.images.shape[2:])
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or tuple(self.images.shape[:2]) != (count, 3):
            raise UserError(f"batch of {count}: images are {_described(self.images)}, must be uint8 [{count}, 3, h, w]")
        if self.masks.dtype != torch.bool or tuple(self.masks.shape) != (count, 1, *size):
            raise UserError(f"batch of {count}: masks are {_described(self.masks)}, must be bool {[count, 1, *size]}")
        if len(self.captions) != count:
            raise UserError(f"batch of {count}: {len(self.captions)} captions, must be {count}")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        """The number of samples, their size and ids, without the pixels."""
        return f"<Batch of {len(self)}, {'x'.join(map(str, self.images.shape[2:]))}, {', '.join(self.ids)}>"

    def take(self, indices: Sequence[int]) -> "Batch":
        """The samples at these indices, in this order; an index may be repeated.

        Raises `IndexError` for an index out of range.
        """
        places = list(indices)
        return Batch(
            ids=tuple(self.ids[place] for place in places),
            images=self.images[places],
            masks=self.masks[places],
            captions=tuple(self.captions[place] for place in places),
        )


@runtime_checkable
class Method(Protocol):
    """Inpaints the masked region of every image in a batch."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """The inpainted images, RGB, 0..255. `seeds` has one int per sample, the only source of randomness."""
        ...


@runtime_checkable
class Metric(Protocol):
    """Scores every image in a batch."""

    @property
    def info(self) -> MetricInfo:
        """Name, unit, direction, region, version."""
        ...

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """One number per image. A number that isn't finite means *not scored*: see `metric_info.unscored`."""
        ...


@runtime_checkable
class SetMetric(Protocol):
    """Compares a set of images with a set of references by what a network sees in them; gives one number for both."""

    @property
    def info(self) -> MetricInfo:
        """Name, unit, direction, region, version; its scope is `set`."""
        ...

    def features(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """The features of each image, which depend on no other. A row that isn't finite is left out of the set."""
        ...

    def distance(self, references: Float64[np.ndarray, "m d"], images: Float64[np.ndarray, "n d"]) -> float:
        """The number, from the features of both sets, of at least two images each; it doesn't depend on their order."""
        ...


@runtime_checkable
class Sharing(Protocol):
    """A set metric whose features other metrics compute as well."""

    @property
    def network(self) -> str:
        """Name of the features, with the digest of the weights and the region: equal names stand for equal features."""
        ...


@runtime_checkable
class Referring(Protocol):
    """A set metric that can be given references other than the data set's own images."""

    @property
    def reference(self) -> str | None:
        """Folder of pictures; None for the data set's images of the same samples."""
        ...


@runtime_checkable
class Noting(Protocol):
    """A metric that adds notes to some of its scores."""

    def notes(self, batch: Batch) -> Sequence[str]:
        """One note per sample with what a reader must know about its score; empty for no note."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """A sequence of samples, each decoded when it is accessed."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def split(self) -> str:
        """The split, which determines the masks: `inside`, `outside`, ..."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """The ids in order, found without decoding any sample."""
        ...

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The tags of every id, as in its `Sample`, without decoding it; none for a damaged sample."""
        ...

    def digest(self) -> str:
        """Hash of all bytes that the samples are made from."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Decode one sample. Raises `SampleError` if it can't be used, `IndexError` past the end."""
        ...

    def __iter__(self) -> Iterator[Sample]: ...


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
