"""Caches for features of images and captions, and the image preprocessing of CLIP and related models."""

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
"""Channel means and standard deviations with which OpenAI's CLIP, and models built on it, normalise images."""


@final
class ImageFeatureCache:
    """Caches results for a tensor of images as long as that tensor exists and its pixels stay the same.

    Two metrics that apply the same network to the same images one after the other thus run it only once.
    """

    def __init__(self) -> None:
        # Any: torch doesn't type this dictionary, which holds entries by digest and key for each tensor.
        self._kept: Any = WeakIdKeyDictionary()

    def __call__(self, images: UInt8[Tensor, "n 3 h w"], key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """The result of `make()`, or the cached one for this key and these pixels."""
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
    """Caches the features of captions, dropping the oldest beyond `limit` captions."""

    def __init__(self, limit: int = 1 << 14) -> None:
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._limit = limit

    def __call__(self, captions: Sequence[str], make: Callable[[list[str]], Tensor]) -> Tensor:
        """The features, one row per caption; `make` is called once with all new captions."""
        if new := [caption for caption in dict.fromkeys(captions) if caption not in self._kept]:
            self._kept.update(zip(new, make(new), strict=True))
        rows = torch.stack([self._kept[caption] for caption in captions])
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return rows


_crops = ImageFeatureCache()


def cropped(images: UInt8[Tensor, "n 3 h w"], side: int, offset: Callable[[int], int]) -> UInt8[Tensor, "n 3 s s"]:
    """The images with their shorter side resized to `side` pixels (Pillow, bicubic, in 8 bits), and centre-cropped.

    This is the official preprocessing of CLIP, the aesthetic predictor and ImageReward. `offset` gives the start of the
    crop for a number of excess pixels: see `floor_offset` and `half_even_offset`.
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
    """The start of the crop in transformers: half of the excess, rounded down."""
    return excess // 2


def half_even_offset(excess: int) -> int:
    """The start of the crop in torchvision: half of the excess, rounded half to even."""
    return round(excess / 2)


def normalised(
    pixels: UInt8[Tensor, "n 3 s s"], mean: Sequence[float], std: Sequence[float], device: torch.device
) -> Float[Tensor, "n 3 s s"]:
    """The normalised images, (pixels / 255 - mean) / std, in float32 on the device."""
    unit = pixels.to(device).float() / 255
    shift, scale = (torch.tensor(values, device=device)[:, None, None] for values in (mean, std))
    return (unit - shift) / scale
