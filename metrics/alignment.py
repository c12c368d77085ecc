"""Metrics of how well an image matches its caption."""

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
"""Margin added at either end of each side of the inpainted pixels' box, as a share of that side."""
SMALLEST_SIDE = 64
"""Shortest side of a crop, in pixels."""
LARGEST_BOX = 0.9
"""Largest share of the image that a box may cover; beyond it, the crop is practically the whole image."""


@final
@dataclass(frozen=True, slots=True)
class CLIPSimilarity:
    """Alignment of image and caption by OpenAI's CLIP ViT-L/14: 100 x cosine, at least 0; higher is better.

    Hessel et al., arXiv:2104.08718, as torchmetrics computes it for a single image, without the weight 2.5. The image's
    shorter side is resized to the model's input size (Pillow, bicubic), and the image is centre-cropped. Of a caption
    over 77 tokens, `strict` reads the first 76 and the end token. `paper` reads the first 77 without the end token, as
    the official stack does: the model then pools the text at its first token, so *the content of such a caption doesn't
    count*. These samples get a note.

    On `painted`, the image is first cropped to the bounding box of the inpainted pixels, extended by an eighth of its
    sides in each direction and to at least 64 pixels a side, within the image. The score is NaN if nothing is
    inpainted, or if the box covers over 90 % of the image, so that `whole` already measures the same.

    Input uint8 [n, 3, h, w]; output float64 [n], 0..100. Raises `UserError` for weights that aren't available.
    """

    model: str = OPENAI
    """A CLIP in transformers layout: a folder or a hub id."""
    region: Literal["whole", "painted"] = "whole"
    """Pixels that are scored; `METRIC@REGION` means the same."""
    device: str = "auto"
    """Device to compute on; a run passes its own."""
    protocol: ProtocolName = "strict"
    """Rules for the computation; a run passes its own."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; scores are at most 100."""
        official = self.protocol == "paper" and self.region == "whole"
        return described(CATALOGUE["clip"], self.region, "1" if official else CATALOGUE["clip"].version, self.weights())

    def weights(self) -> Sequence[Source]:
        """The source of CLIP."""
        return (clip_files(self.model),)

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
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
        """Load CLIP. Raises `UserError` if it can't be used."""
        clip_of(self.model, device_named(self.device))

    def notes(self, batch: Batch) -> list[str]:
        """A note for each sample that readers need to interpret its score; empty for most samples."""
        clip = clip_of(self.model, device_named(self.device))
        effect = "cut there" if self.protocol == "strict" else "its content doesn't count"
        long = f"caption over {clip.limit} tokens: {effect}"
        return [long if length > clip.limit else "" for length in clip.lengths(batch.captions)]


def bounding_crop(image: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "1 h w"]) -> UInt8[Tensor, "3 k l"] | None:
    """The image cropped to the inpainted pixels with a margin; None if nothing, or nearly everything, is inpainted."""
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
    """(start, end) of a side of the box with its margins, of at least `SMALLEST_SIDE`, moved into the image."""
    length = min(limit, max(SMALLEST_SIDE, last - first + 2 * math.ceil(MARGIN * (last - first))))
    start = min(max(0, (first + last - length) // 2), limit - length)
    return start, start + length


def _similarity(seen: Float[Tensor, "n c"], read: Float[Tensor, "n c"]) -> Float64[Tensor, " n"]:
    return 100 * cosine_similarity(seen.double(), read.double()).clamp(min=0)


@final
@dataclass(frozen=True, slots=True)
class PaperCutCLIP:
    """Alignment of image and caption by PaperCut's own small CLIP: 100 x cosine, at least 0; higher is better.

    It knows only PaperCut's scenes, so its scores can't be compared with those of any other CLIP. Hessel et al.,
    arXiv:2104.08718, as in torchmetrics, without the weight 2.5. The image's shorter side is resized to the model's
    input size (bicubic, antialiased), and the image is centre-cropped; captions are cut at 77 tokens.

    Input uint8 [n, 3, h, w]; output float64 [n], 0..100. Raises `UserError` for a checkpoint that can't be read.
    """

    checkpoint: str | None = None
    """Folder of another CLIP in transformers layout."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; scores are at most 100."""
        number = CATALOGUE[PART].version
        # The suite's own CLIP has no digest here: the version number stands for it.
        files = [clip_files(self.checkpoint)] if self.checkpoint else []
        return described(CATALOGUE[PART], "whole", number, files)

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
        seen, read = self.image_features(images), self.text_features(batch.captions)
        return 100 * cosine_similarity(seen, read).clamp(min=0)

    def image_features(self, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, "n c"]:
        """The features of images, normalised to length 1."""
        judge = self._judge
        with torch.inference_mode():
            seen = judge.model.vision_model(_prepared(images, judge)).pooler_output
            return normalize(judge.model.visual_projection(seen).double(), dim=1)

    def text_features(self, captions: Sequence[str]) -> Float64[Tensor, "n c"]:
        """The features of captions, normalised to length 1."""
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
