"""What to generate and where: the words of a caption, and the hole at each resolution of the UNet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn.functional import max_pool2d, pad
from transformers import CLIPTokenizer

from brushbench.baselines.captions import cleaned
from brushbench.core.types import Batch

MULTIPLE = 64
"""Pictures are extended to sides that are multiples of this."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What PAIntA and RASG need to know about n samples."""

    context: Float[Tensor, "n 77 c"]
    """The encoded captions."""
    words: Float[Tensor, "n 77"]
    """1 at the tokens that say what to generate, else 0."""
    holes: Mapping[int, Bool[Tensor, "n 1 _ _"]]
    """The holes by level of the UNet, from 0; True = inpaint."""


def with_quality(caption: str, positive_prompt: str) -> str:
    """The caption with the positive prompt appended."""
    return f"{caption}, {positive_prompt}" if positive_prompt else caption


def words_of(tokenizer: CLIPTokenizer, captions: Sequence[str], positive_prompt: str) -> Float[Tensor, "n 77"]:
    """1 at every token of the bare caption and at the first end token of the whole prompt, else 0."""
    words = torch.zeros(len(captions), tokenizer.model_max_length)
    last = tokenizer.model_max_length - 1
    for row, caption in zip(words, captions, strict=True):
        bare, whole = (
            len(tokenizer(cleaned(text), add_special_tokens=False).input_ids)
            for text in (caption, with_quality(caption, positive_prompt))
        )
        row[1 : min(bare + 1, last)] = 1
        row[min(whole + 1, last)] = 1
    return words


def prepared(batch: Batch) -> Batch:
    """The batch with holes grown by one pixel, and sides extended to multiples of `MULTIPLE`.

    Pictures are extended at the right and at the bottom by known black pixels.
    """
    height, width = batch.images.shape[2:]
    margins = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
    return replace(batch, images=pad(batch.images, margins), masks=pad(dilated(batch.masks), margins))


def dilated(masks: Bool[Tensor, "n 1 h w"]) -> Bool[Tensor, "n 1 h w"]:
    """The masks grown by the four neighbours of every pixel."""
    levels = masks.float()
    columns = max_pool2d(levels, (3, 1), stride=1, padding=(1, 0))
    rows = max_pool2d(levels, (1, 3), stride=1, padding=(0, 1))
    return (columns + rows) > 0


def shrunk(masks: Bool[Tensor, "n 1 H W"], factor: int) -> UInt8[Tensor, "n 1 h w"]:
    """The masks shrunk to 0..255 with Pillow's antialiased bicubic filter."""
    size = (masks.shape[3] // factor, masks.shape[2] // factor)
    pictures = [Image.fromarray(mask.numpy().astype(np.uint8) * 255) for mask in masks[:, 0].cpu()]
    resized = [np.array(picture.resize(size, Image.Resampling.BICUBIC)) for picture in pictures]
    return torch.from_numpy(np.stack(resized))[:, None]


def any_of(masks: Bool[Tensor, "n 1 H W"], factor: int) -> Bool[Tensor, "n 1 h w"]:
    """The masks shrunk, True where a hole leaves any trace."""
    return shrunk(masks, factor) > 0


def most_of(masks: Bool[Tensor, "n 1 H W"], factor: int) -> Bool[Tensor, "n 1 h w"]:
    """The masks shrunk, True where a hole covers more than half."""
    return shrunk(masks, factor) > 127
