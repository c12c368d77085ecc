"""CLIP, shared by several metrics: one copy of the weights, and each image and caption is encoded only once."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast, final

import torch
from accelerate import init_empty_weights
from jaxtyping import Float, UInt8
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.metrics.features import ImageFeatureCache, TextFeatureCache, cropped, normalised
from brushbench.weights.formats import PICKLE, SAFE
from brushbench.weights.memory import loaded_once
from brushbench.weights.sources import WEIGHTS, HubFiles, digest_of_files
from brushbench.weights.tensors import load_checked, read_tensors

OPENAI = "openai/clip-vit-large-patch14"
CONFIG, PREPROCESSING = "config.json", "preprocessor_config.json"
VOCABULARY = ("tokenizer.json", "vocab.json", "merges.txt")
"""The tokenizer's files: the first alone, or else the other two."""
CONSTANTS = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")
"""Tensors in published checkpoints that aren't weights."""


def clip_files(model: str) -> HubFiles:
    """The files needed of a CLIP in transformers layout."""
    whole, *parts = VOCABULARY
    needed = ((CONFIG,), WEIGHTS, (PREPROCESSING,), *((whole, part) for part in parts))
    return HubFiles("model", model, needed)


@final
@dataclass(frozen=True, slots=True)
class CLIP:
    """A CLIP of transformers, with the preprocessing of transformers before version 5: Pillow, in 8 bits."""

    model: CLIPModel
    tokenizer: CLIPTokenizer
    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: torch.device
    seen: ImageFeatureCache
    read: TextFeatureCache
    read_without_end: TextFeatureCache
    """The features of captions that are cut as in the official stack."""

    def image_features(self, images: UInt8[Tensor, "n 3 h w"], offset: Callable[[int], int]) -> Float[Tensor, "n c"]:
        """The projected features of images, not normalised.

        `offset` says where the centre crop begins, see `brushbench.metrics.features.cropped`.
        """
        pixels = cropped(images, self.side, offset)
        # Where both crops agree, as they do on every square image, this is one and the same tensor.
        return self.seen(pixels, "features", lambda: self._seen(pixels))

    def text_features(self, captions: Sequence[str], *, keep_end: bool = True) -> Float[Tensor, "n c"]:
        """The projected features of captions, not normalised.

        Long captions are cut at the model's length. With `keep_end` their last token is the end token; without, it is
        cut off as in the official stack, so that a long text is pooled at its first token.
        """
        kept = self.read if keep_end else self.read_without_end
        return kept(captions, partial(self._read, keep_end=keep_end))

    def lengths(self, captions: Sequence[str]) -> list[int]:
        """The number of tokens in each caption, with the start and end tokens."""
        return [len(ids) for ids in self._ids(captions)]

    @property
    def side(self) -> int:
        """The side of the model's input images, in pixels."""
        return cast(int, self.model.config.vision_config.image_size)

    @property
    def limit(self) -> int:
        """The largest number of tokens that the model reads."""
        return cast(int, self.model.config.text_config.max_position_embeddings)

    @torch.inference_mode()
    def _seen(self, pixels: UInt8[Tensor, "n 3 s s"]) -> Tensor:
        inputs = normalised(pixels, self.mean, self.std, self.device)
        return cast(Tensor, self.model.visual_projection(self.model.vision_model(inputs).pooler_output)).cpu()

    @torch.inference_mode()
    def _read(self, captions: list[str], *, keep_end: bool) -> Tensor:
        cut = [self._cut(ids, keep_end=keep_end) for ids in self._ids(captions)]
        longest = max(map(len, cut))
        rows = [ids + [self.tokenizer.pad_token_id] * (longest - len(ids)) for ids in cut]
        masks = [[1] * len(ids) + [0] * (longest - len(ids)) for ids in cut]
        ids, mask = (torch.tensor(part, device=self.device) for part in (rows, masks))
        pooled = self.model.text_model(input_ids=ids, attention_mask=mask).pooler_output
        return cast(Tensor, self.model.text_projection(pooled)).cpu()

    def _cut(self, ids: list[int], *, keep_end: bool) -> list[int]:
        if len(ids) <= self.limit or not keep_end:
            return ids[: self.limit]
        return [*ids[: self.limit - 1], ids[-1]]

    def _ids(self, captions: Sequence[str]) -> list[list[int]]:
        # With verbose, it would warn about every long caption; notes report them instead.
        return cast(list[list[int]], self.tokenizer(list(captions), verbose=False).input_ids)


def clip_of(model: str, device: torch.device) -> CLIP:
    """The CLIP of a folder or a hub id, loaded only once. Raises `UserError` if it isn't available."""
    return clip_in(clip_files(model).get(), device, f"model={model}")


def clip_in(folder: Path, device: torch.device, requested: str) -> CLIP:
    """The CLIP of a folder, loaded only once. Raises `UserError`, beginning with `requested`, if it can't be loaded."""
    loaded = capture(lambda: _load(folder, digest_of_files(clip_files(str(folder)).files()), device))
    if isinstance(loaded, Failure):
        raise UserError(one_line(f"{requested}: {folder} can't be loaded: {loaded.error}"))
    return loaded


@loaded_once
def _load(folder: Path, _digest: str, device: torch.device) -> CLIP:
    config = CLIPConfig.from_json_file(folder / CONFIG)
    with init_empty_weights(include_buffers=False):
        empty = CLIPModel(config)
    files = [file for file in clip_files(str(folder)).files() if file.suffix in (SAFE, PICKLE)]
    stored = {name: tensor for file in files for name, tensor in read_tensors(file, for_scores=True).items()}
    tensors = {name: tensor for name, tensor in stored.items() if name not in CONSTANTS}
    model = load_checked(empty, tensors, files[0], assign=True).to(device)
    preprocessing = json.loads((folder / PREPROCESSING).read_text(encoding="utf-8"))
    mean, std = (tuple(map(float, preprocessing[key])) for key in ("image_mean", "image_std"))
    tokenizer = _tokenizer(folder, config.text_config.max_position_embeddings)
    return CLIP(model, tokenizer, mean, std, device, ImageFeatureCache(), TextFeatureCache(), TextFeatureCache())


def _tokenizer(folder: Path, limit: int) -> CLIPTokenizer:
    """The tokenizer from its vocabulary alone, with CLIP's special tokens; other files in the folder have no effect."""
    files = [file for file in clip_files(str(folder)).files() if file.name in VOCABULARY]
    with TemporaryDirectory() as alone:
        for file in files:
            shutil.copyfile(file, Path(alone) / file.name)
        found = CLIPTokenizer.from_pretrained(alone, local_files_only=True, model_max_length=limit)
    return cast(CLIPTokenizer, found)
