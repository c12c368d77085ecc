"""CLIP as several metrics use it: one copy of the weights, every image and every caption through it once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, final

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from brushbench.bars import without_bars
from brushbench.errors import UserError, one_line
from brushbench.metric_weights import HubFiles, digest_of
from brushbench.work import Failure, attempt
from metrics.shared import OfCaptions, OfImages, cropped, loaded_once, normalised

OPENAI = "openai/clip-vit-large-patch14"
WEIGHTS = "model.safetensors"


def clip_files(model: str) -> HubFiles:
    """What is loaded of a CLIP in transformers' layout."""
    needed = (
        ("config.json",),
        (WEIGHTS,),
        ("preprocessor_config.json",),
        ("tokenizer.json", "vocab.json"),
        ("tokenizer.json", "merges.txt"),
    )
    return HubFiles("model", model, needed)


@final
@dataclass(frozen=True, slots=True)
class CLIP:
    """A CLIP of transformers, with its preprocessing as it was before version 5: Pillow, in 8 bits."""

    model: CLIPModel
    tokenizer: CLIPTokenizer
    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: torch.device
    seen: OfImages
    read: OfCaptions

    def image_features(self, images: UInt8[Tensor, "n 3 h w"], offset: Callable[[int], int]) -> Float[Tensor, "n c"]:
        """Projected, not normalised. `offset` is how the middle is found, see `metrics.shared.cropped`."""
        pixels = cropped(images, self.side, offset)
        # Where both ways to find the middle agree, as they do on every square image, it is one and the same tensor.
        return self.seen(pixels, "features", lambda: self._seen(pixels))

    def text_features(self, captions: Sequence[str]) -> Float[Tensor, "n c"]:
        """Projected, not normalised. Token ids are cut at the model's length, with the end token if need be."""
        return self.read(captions, self._read)

    def lengths(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, with begin and end."""
        return [len(ids) for ids in self._ids(captions)]

    @property
    def side(self) -> int:
        """Pixels of the images that it sees, along each side."""
        return cast(int, self.model.config.vision_config.image_size)

    @property
    def limit(self) -> int:
        """The most tokens that it reads."""
        return cast(int, self.model.config.text_config.max_position_embeddings)

    @torch.inference_mode()
    def _seen(self, pixels: UInt8[Tensor, "n 3 s s"]) -> Tensor:
        inputs = normalised(pixels, self.mean, self.std, self.device)
        return cast(Tensor, self.model.visual_projection(self.model.vision_model(inputs).pooler_output)).cpu()

    @torch.inference_mode()
    def _read(self, captions: list[str]) -> Tensor:
        cut = [ids[: self.limit] for ids in self._ids(captions)]
        longest = max(map(len, cut))
        rows = [ids + [self.tokenizer.pad_token_id] * (longest - len(ids)) for ids in cut]
        masks = [[1] * len(ids) + [0] * (longest - len(ids)) for ids in cut]
        ids, mask = (torch.tensor(part, device=self.device) for part in (rows, masks))
        pooled = self.model.text_model(input_ids=ids, attention_mask=mask).pooler_output
        return cast(Tensor, self.model.text_projection(pooled)).cpu()

    def _ids(self, captions: Sequence[str]) -> list[list[int]]:
        # verbose: it would warn of every long caption, which are counted instead.
        return cast(list[list[int]], self.tokenizer(list(captions), verbose=False).input_ids)


def clip_of(model: str, device: torch.device) -> CLIP:
    """The CLIP of a folder or a hub id, loaded once. Raises `UserError` if it can't be had."""
    return clip_in(clip_files(model).get(), device, f"model={model}")


def clip_in(folder: Path, device: torch.device, asked: str) -> CLIP:
    """The CLIP of a folder, loaded once. Raises `UserError`, beginning with what was asked for, if it can't be."""
    loaded = attempt(lambda: _load(folder, digest_of(folder / WEIGHTS), device))
    if isinstance(loaded, Failure):
        raise UserError(one_line(f"{asked}: {folder} can't be loaded: {loaded.error}"))
    return loaded


@loaded_once
def _load(folder: Path, _digest: str, device: torch.device) -> CLIP:
    with without_bars():
        model = CLIPModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32, use_safetensors=True)
    processor = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
    tokenizer = cast(CLIPTokenizer, CLIPTokenizer.from_pretrained(folder, local_files_only=True))
    mean, std = tuple(processor.image_mean), tuple(processor.image_std)
    return CLIP(model.eval().to(device), tokenizer, mean, std, device, OfImages(), OfCaptions())
