"""How well an image fits its caption."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, final

import torch
from jaxtyping import Bool, Float, Float64, UInt8
from torch import Tensor
from torch.nn.functional import cosine_similarity, interpolate, normalize
from torchvision.transforms.functional import center_crop

from brushbench.core.metric_info import MetricInfo
from brushbench.core.protocol import ProtocolName
from brushbench.core.types import Batch
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.metrics.clip import CLIP, OPENAI, clip_files, clip_in, clip_of
from brushbench.metrics.features import floor_offset
from brushbench.weights import families, read_family
from brushbench.weights.metrics import described
from brushbench.weights.runtime import device_named
from brushbench.weights.sources import Source

PART = "papercut-clip"
MARGIN = 1 / 8
"""The share of a side of the painted pixels' box that is added at either end."""
SMALLEST_SIDE = 64
"""Pixels of what is cut out."""
LARGEST_BOX = 0.9
"""Share of the image from which on the box is no region of its own."""


@final
@dataclass(frozen=True, slots=True)
class CLIPSimilarity:
    """Alignment of image and caption by OpenAI's CLIP ViT-L/14: 100 x cosine, at least 0; higher is better.

    Hessel et al., arXiv:2104.08718, as torchmetrics computes it for a single image: no weight. The image is brought to
    the model's size by its shorter side (Pillow, bicubic) and cropped. Of a caption over 77 tokens `strict` reads the
    first 76 and the end token; `paper` the first 77, without the end token, as the official stack: the model then pools
    the text at its first token, so that *such a caption's content doesn't count*. Such samples are noted.

    On `painted`, the image is cut to the bounding box of the painted pixels first, with an eighth of the box's sides
    added on every side and no side under 64 pixels, as far as the image goes; NaN where nothing is painted, or where
    the box covers over 90 % of the image, of which `whole` tells already.

    Input uint8 [n, 3, h, w]; output float64 [n], 0..100. Raises `UserError` for weights that can't be had.
    """

    model: str = OPENAI
    """A CLIP in transformers' layout: a folder or a hub id."""
    region: Literal["whole", "painted"] = "whole"
    device: str = "auto"
    protocol: ProtocolName = "strict"

    @property
    def info(self) -> MetricInfo:
        """Up to 100."""
        official = self.protocol == "paper" and self.region == "whole"
        return described(CATALOGUE["clip"], self.region, "1" if official else CATALOGUE["clip"].version, self.weights())

    def weights(self) -> Sequence[Source]:
        """CLIP."""
        return (clip_files(self.model),)

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """See the class."""
        clip = clip_of(self.model, device_named(self.device))
        read = clip.text_features(batch.captions, keep_end=self.protocol == "strict")
        if self.region == "whole":
            return _similarity(clip.image_features(images, floor_offset), read)
        scores = [
            _similarity(clip.image_features(crop[None], floor_offset), text[None]).item()
            if crop is not None
            else torch.nan
            for crop, text in zip(map(bounding_crop, images, batch.masks), read, strict=True)
        ]
        return torch.tensor(scores, dtype=torch.float64)

    def load_network(self) -> None:
        """Load CLIP. Raises `UserError` for one that can't be used."""
        clip_of(self.model, device_named(self.device))

    def notes(self, batch: Batch) -> list[str]:
        """For each sample what a reader must know of its score; empty for nothing."""
        clip = clip_of(self.model, device_named(self.device))
        known = "cut there" if self.protocol == "strict" else "its content doesn't count"
        long = f"caption over {clip.limit} tokens: {known}"
        return [long if length > clip.limit else "" for length in clip.lengths(batch.captions)]


def bounding_crop(image: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "1 h w"]) -> UInt8[Tensor, "3 k l"] | None:
    """The image cut to the painted pixels, with what is around them; None for nothing, or nearly all of the image."""
    rows, columns = mask[0].any(dim=1).nonzero(), mask[0].any(dim=0).nonzero()
    if not len(rows):
        return None
    ends = [(int(found[0]), int(found[-1]) + 1) for found in (rows, columns)]
    covered = math.prod(last - first for first, last in ends)
    if covered > LARGEST_BOX * mask.numel():
        return None
    (top, bottom), (left, right) = (_widened(*pair, limit) for pair, limit in zip(ends, mask.shape[1:], strict=True))
    return image[:, top:bottom, left:right].contiguous()


def _widened(first: int, last: int, limit: int) -> tuple[int, int]:
    """A side of the box with its margins, of the least length, moved into the image."""
    length = min(limit, max(SMALLEST_SIDE, last - first + 2 * math.ceil(MARGIN * (last - first))))
    start = min(max(0, (first + last - length) // 2), limit - length)
    return start, start + length


def _similarity(seen: Float[Tensor, "n c"], read: Float[Tensor, "n c"]) -> Float64[Tensor, " n"]:
    return 100 * cosine_similarity(seen.double(), read.double()).clamp(min=0)


@final
@dataclass(frozen=True, slots=True)
class PaperCutCLIP:
    """Alignment of image and caption by PaperCut's own small CLIP: 100 x cosine, at least 0.

    It knows nothing but PaperCut's scenes, so its numbers can't be held against those of any other CLIP. Hessel et al.,
    arXiv:2104.08718, in the form of torchmetrics: no weight. The image is brought to the model's size by its shorter
    side (bicubic, antialiased) and cropped; captions are cut at 77 tokens.

    Input uint8 [n, 3, h, w]; output float64 [n], 0..100. Raises `UserError` for a checkpoint that can't be read.
    """

    checkpoint: str | None = None
    """Folder of another one, in transformers' layout."""

    @property
    def info(self) -> MetricInfo:
        """Up to 100."""
        number = CATALOGUE[PART].version
        # The suite's own has none: it is part of the number.
        files = [clip_files(self.checkpoint)] if self.checkpoint else []
        return described(CATALOGUE[PART], "whole", number, files)

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """See the class."""
        seen, read = self.image_features(images), self.text_features(batch.captions)
        return 100 * cosine_similarity(seen, read).clamp(min=0)

    def image_features(self, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, "n c"]:
        """What the metric compares, of length 1."""
        judge = self._judge
        with torch.inference_mode():
            seen = judge.model.vision_model(_prepared(images, judge)).pooler_output
            return normalize(judge.model.visual_projection(seen).double(), dim=1)

    def text_features(self, captions: Sequence[str]) -> Float64[Tensor, "n c"]:
        """What the metric compares, of length 1."""
        judge = self._judge
        tokens = judge.tokenizer(list(captions), padding="max_length", truncation=True, return_tensors="pt")
        with torch.inference_mode():
            read = judge.model.text_model(input_ids=tokens.input_ids).pooler_output
            return normalize(judge.model.text_projection(read).double(), dim=1)

    def load_network(self) -> None:
        """Load the network. Raises `UserError` for a checkpoint that can't be used."""
        _ = self._judge

    @property
    def _judge(self) -> CLIP:
        folder = self.checkpoint or read_family(families()["papercut"]).components[PART].source
        return clip_in(Path(folder), torch.device("cpu"), PART)


def _prepared(images: UInt8[Tensor, "n 3 h w"], judge: CLIP) -> Float[Tensor, "n 3 s s"]:
    unit, side = images.float() / 255, judge.side
    shorter = min(unit.shape[2:])
    if shorter != side:
        size = [round(length * side / shorter) for length in unit.shape[2:]]
        unit = interpolate(unit, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (torch.tensor(values)[:, None, None] for values in (judge.mean, judge.std))
    return cast(Tensor, (center_crop(unit, [side, side]) - mean) / std)
