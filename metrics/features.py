"""Features of images and captions, each computed once, and images as CLIP and its kin take them."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, cast, final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from brushbench.core.concurrency import in_threads

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""The standard deviations of OpenAI's CLIP; everything built on it takes images so."""


@final
class ImageFeatureCache:
    """Remembers what was computed of a tensor of images, for as long as that tensor lives and its pixels stay.

    Two metrics that look at the same images with the same network, one after the other, so run it once.
    """

    def __init__(self) -> None:
        # Any: torch doesn't say what its dictionary holds: for each tensor, entries by digest and key.
        self._kept: Any = WeakIdKeyDictionary()

    def __call__(self, images: UInt8[Tensor, "n 3 h w"], key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """`make()`, or what it gave for this key and these pixels before."""
        content = tuple(in_threads(_digest, list(images.contiguous().cpu().numpy())))
        entries = self._kept.setdefault(images, {})
        if entries and next(iter(entries))[0] != content:
            entries.clear()
        if (content, key) not in entries:
            entries[content, key] = make()
        return cast(Tensor, entries[content, key])


def _digest(pixels: UInt8[np.ndarray, "3 h w"]) -> bytes:
    return hashlib.blake2b(pixels.data).digest()


@final
class TextFeatureCache:
    """Remembers the features of captions, each computed once; of very many, the last ones."""

    def __init__(self, limit: int = 1 << 14) -> None:
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._limit = limit

    def __call__(self, captions: Sequence[str], make: Callable[[list[str]], Tensor]) -> Tensor:
        """One row per caption; `make` is given the ones that are new, each once."""
        if new := [caption for caption in dict.fromkeys(captions) if caption not in self._kept]:
            self._kept.update(zip(new, make(new), strict=True))
        rows = torch.stack([self._kept[caption] for caption in captions])
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return rows


_crops = ImageFeatureCache()


def cropped(images: UInt8[Tensor, "n 3 h w"], side: int, offset: Callable[[int], int]) -> UInt8[Tensor, "n 3 s s"]:
    """The shorter side to `side` pixels (Pillow, bicubic, in 8 bits), the longer one cut to it around the middle.

    The official preprocessing of CLIP, of the aesthetic predictor and of ImageReward. `offset` says where the cut
    begins, from the number of pixels that are too many: see `floor_offset` and `half_even_offset`.
    """
    height, width = images.shape[2:]
    shorter = min(height, width)
    wide, high = (side if length == shorter else int(side * length / shorter) for length in (width, height))
    left, top = offset(wide - side), offset(high - side)

    def make() -> Tensor:
        def crop(pixels: UInt8[np.ndarray, "3 h w"]) -> UInt8[np.ndarray, "s s 3"]:
            image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
            resized = image.resize((wide, high), Image.Resampling.BICUBIC)
            return np.asarray(resized.crop((left, top, left + side, top + side)))

        crops = in_threads(crop, list(images.cpu().numpy()))
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()

    return _crops(images, (side, left, top), make)


def floor_offset(excess: int) -> int:
    """Where transformers begins the cut: half of what is too much, rounded down."""
    return excess // 2


def half_even_offset(excess: int) -> int:
    """Where torchvision begins it: half of what is too much, of two equally near numbers the even one."""
    return round(excess / 2)


def normalised(
    pixels: UInt8[Tensor, "n 3 s s"], mean: Sequence[float], std: Sequence[float], device: torch.device
) -> Float[Tensor, "n 3 s s"]:
    """(pixels / 255 - mean) / std, in float32, on the device."""
    unit = pixels.to(device).float() / 255
    shift, scale = (torch.tensor(values, device=device)[:, None, None] for values in (mean, std))
    return (unit - shift) / scale
