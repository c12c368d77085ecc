"""The nouns that methods, metrics and data sets share.

Fixed everywhere: images are uint8, RGB, 0..255, channels first; masks are bool and True where the image is to be
painted. The other side of a mask is called *known*.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float64, UInt8
from torch import Tensor

from brushbench.core.errors import UserError
from brushbench.core.metric_info import MetricInfo


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with the region to paint in it and the caption of the result.

    Raises `UserError` if a tensor has another dtype or shape than stated here.
    """

    id: str
    """Unique in its data set."""
    image: UInt8[Tensor, "3 h w"]
    """The source photograph, RGB, 0..255."""
    mask: Bool[Tensor, "1 h w"]
    """True = paint."""
    caption: str
    """What the painted image shows."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What reports can group by, for example `{"subject": "animal"}`."""

    def __post_init__(self) -> None:
        size = tuple(self.image.shape[1:])
        if self.image.dtype != torch.uint8 or self.image.ndim != 3 or self.image.shape[0] != 3:
            raise UserError(f"sample {self.id!r}: image is {_described(self.image)}, must be uint8 [3, h, w]")
        if self.mask.dtype != torch.bool or tuple(self.mask.shape) != (1, *size):
            raise UserError(f"sample {self.id!r}: mask is {_described(self.mask)}, must be bool {[1, *size]}")

    def __repr__(self) -> str:
        """Without the pixels."""
        size = "x".join(map(str, self.image.shape[1:]))
        painted = f"{self.mask.float().mean().item():.0%} painted"
        return f"<Sample {self.id!r}, {size}, {painted}, {self.caption!r}, {dict(self.tags)}>"


@dataclass(frozen=True, slots=True)
class Batch:
    """n samples of one size, stacked: what methods and metrics see."""

    ids: tuple[str, ...]
    """One per sample."""
    images: UInt8[Tensor, "n 3 h w"]
    """The source images, RGB, 0..255."""
    masks: Bool[Tensor, "n 1 h w"]
    """True = paint."""
    captions: tuple[str, ...]
    """One per sample."""

    @staticmethod
    def of(samples: Sequence[Sample]) -> "Batch":
        """The samples in their order. Raises `UserError` for none, or for samples of different sizes."""
        sizes = {tuple(sample.image.shape[1:]) for sample in samples}
        if len(sizes) != 1:
            found = ", ".join(f"{height}x{width}" for height, width in sorted(sizes)) or "no sample"
            raise UserError(f"a batch takes samples of one size, got {found}")
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
            raise UserError(f"batch of {count}: it has {len(self.captions)} captions")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        """Without the pixels."""
        return f"<Batch of {len(self)}, {'x'.join(map(str, self.images.shape[2:]))}, {', '.join(self.ids)}>"

    def take(self, indices: Sequence[int]) -> "Batch":
        """The samples at these places, in this order; a place can be taken more than once.

        Raises `IndexError` for a place that isn't there.
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
    """Paints the masked region of every image of a batch."""

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """The finished images, RGB, 0..255. `seeds` has one int per sample, the only source of randomness."""
        ...


@runtime_checkable
class Metric(Protocol):
    """Scores every image of a batch."""

    @property
    def info(self) -> MetricInfo:
        """Name, unit, direction, region, version."""
        ...

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """One number per image. Not finite means *not scored*, never a score: see `metric_info.unscored`."""
        ...


@runtime_checkable
class Noting(Protocol):
    """A metric that has something to say of some of its scores."""

    def notes(self, batch: Batch) -> Sequence[str]:
        """For each sample what a reader must know of its score; empty for nothing."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """A sequence of samples that decodes each one when it is asked for."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def split(self) -> str:
        """Which masks these are: `inside`, `outside`, ..."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """The ids in order, without decoding anything."""
        ...

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The tags of every id, as its `Sample` has them, without decoding anything; none of a damaged sample."""
        ...

    def digest(self) -> str:
        """Hash of every byte that the samples are made of."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Raises `SampleError` for a sample that can't be used, `IndexError` past the end."""
        ...

    def __iter__(self) -> Iterator[Sample]: ...


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
