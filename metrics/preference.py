"""Predicted human preference for an image given its caption: ImageReward and HPS v2.1."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

import open_clip
import torch
from accelerate import init_empty_weights
from jaxtyping import Float, Float64, UInt8
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, interpolate, pad
from transformers import BertTokenizer

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import MetricInfo
from brushbench.core.types import Batch
from brushbench.metrics.blip import ImageRewardNet, Shapes, empty_network, renamed
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.metrics.features import CLIP_MEAN, CLIP_STD, TextFeatureCache, cropped, half_even_offset, normalised
from brushbench.weights.memory import loaded_once
from brushbench.weights.metrics import described
from brushbench.weights.runtime import device_named
from brushbench.weights.sources import HubFiles, Source, digest_of_files
from brushbench.weights.tensors import load_checked, read_tensors

REWARD_MEAN, REWARD_STD = 0.16717362830052426, 1.0333394966054072
"""Mean and standard deviation of the raw rewards on ImageReward's own data, as published with the code."""
REWARD_TOKENS = 35
"""Number of tokens that ImageReward reads of a caption, with [CLS] and [SEP]."""
BERT = "google-bert/bert-base-uncased"
"""The model whose vocabulary ImageReward uses for captions."""
VOCABULARY = "vocab.txt"
REWARD_FILES = ("ImageReward.safetensors", "ImageReward.pt")
VIT_H = "ViT-H-14"
HPS_FILES = ("HPS_v2.1_compressed.safetensors", "HPS_v2.1_compressed.pt")


@dataclass(frozen=True, slots=True)
class _Reward:
    net: ImageRewardNet
    tokenizer: BertTokenizer
    device: torch.device


@final
@dataclass(frozen=True, slots=True)
class ImageReward:
    """ImageReward-v1.0, standardised as by its authors; higher is better, 0 is the mean of their data.

    Xu et al., arXiv:2304.05977. The image's shorter side is resized to 224 pixels (Pillow, bicubic), and the image is
    centre-cropped; captions are cut at 35 tokens, including the end token. Both protocols are the same.

    Input uint8 [n, 3, h, w]; output float64 [n]. Raises `UserError` for weights that aren't available.
    """

    checkpoint: str = "THUDM/ImageReward"
    """A hub id, or a folder with `ImageReward.pt` or `.safetensors`, `med_config.json`, `tokenizer/vocab.txt`, and
    `vit_config.json` if the vision tower isn't ViT-L/16."""
    device: str = "auto"
    """Device to compute on; a run passes its own."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; scores are printed x 10, as in the paper."""
        return described(CATALOGUE["image-reward"], "whole", "1", self.weights())

    def weights(self) -> Sequence[Source]:
        """The sources of the checkpoint and of the vocabulary, which is BERT's if the checkpoint has none."""
        needed = (REWARD_FILES, ("med_config.json",))
        main = HubFiles("checkpoint", self.checkpoint, needed, optional=("vit_config.json",))
        own = Path(self.checkpoint) / "tokenizer"
        vocabulary = str(own) if (own / VOCABULARY).is_file() else BERT
        return (main, HubFiles("checkpoint", vocabulary, ((VOCABULARY,),)))

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
        judge = self._loaded()
        tokens = judge.tokenizer(
            list(batch.captions), padding=True, truncation=True, max_length=REWARD_TOKENS, return_tensors="pt"
        ).to(judge.device)
        side = judge.net.vision.config.image_size
        pixels = normalised(cropped(images, side, half_even_offset), CLIP_MEAN, CLIP_STD, judge.device)
        with torch.inference_mode():
            raw = judge.net(pixels, tokens.input_ids, tokens.attention_mask)
        return cast(Tensor, (raw.double().cpu() - REWARD_MEAN) / REWARD_STD)

    def load_network(self) -> None:
        """Load the network. Raises `UserError` for a checkpoint that can't be used."""
        self._loaded()

    def _loaded(self) -> _Reward:
        main, vocabulary = (source.get() for source in self.weights())
        file = next(main / name for name in REWARD_FILES if (main / name).is_file())
        digest = digest_of_files([file for source in self.weights() for file in source.files()])
        return _reward(file, digest, vocabulary / VOCABULARY, device_named(self.device))


@dataclass(frozen=True, slots=True)
class _Preference:
    net: open_clip.CLIP
    tokenizer: open_clip.SimpleTokenizer
    device: torch.device
    read: TextFeatureCache


@final
@dataclass(frozen=True, slots=True)
class HPS:
    """Human Preference Score v2.1: cosine of image and caption by a CLIP ViT-H/14 tuned on human choices.

    Higher is better. Wu et al., arXiv:2306.09341. The image's *longer* side is resized to 224 pixels (bicubic, in
    float32, not clamped), and the rest is padded with black. Captions are cut at 77 tokens, keeping the end token. The
    official code runs in half precision on a GPU; this is float32 everywhere. Both protocols are the same.

    Input uint8 [n, 3, h, w]; output float64 [n], -1..1. Raises `UserError` for weights that aren't available.
    """

    checkpoint: str = "xswu/HPSv2"
    """A hub id, a folder with `HPS_v2.1_compressed.pt`, or a file; its tensors have open_clip's names."""
    model: str = VIT_H
    """The name of an open_clip model, or a JSON file with a model's configuration."""
    antialias: bool = True
    """True: resize like torchvision 0.17 and later. False: like earlier versions, as in BrushNet's own environment."""
    device: str = "auto"
    """Device to compute on; a run passes its own."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; scores are printed x 100, as in the paper."""
        own = [Path(self.model)] if Path(self.model).is_file() else []
        another = [] if own or self.model == VIT_H else [self.model]
        number = " ".join(["1", *another, *([] if self.antialias else ["no-antialias"])])
        return described(CATALOGUE["hps"], "whole", number, self.weights(), own)

    def weights(self) -> Sequence[Source]:
        """The source of the checkpoint; the tokenizer comes with open_clip."""
        return (HubFiles("checkpoint", self.checkpoint, (HPS_FILES,), file_will_do=True),)

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
        judge = self._loaded()
        with torch.inference_mode():
            seen = judge.net.encode_image(_letterboxed(images, judge, antialias=self.antialias)).double().cpu()
            read = judge.read(batch.captions, lambda captions: _read(judge, captions)).double()
        return cosine_similarity(seen, read)

    def load_network(self) -> None:
        """Load the network. Raises `UserError` for a checkpoint that can't be used."""
        self._loaded()

    def _loaded(self) -> _Preference:
        found = self.weights()[0].get()
        file = found if found.is_file() else next(found / name for name in HPS_FILES if (found / name).is_file())
        config = [Path(self.model)] if Path(self.model).is_file() else []
        return _preference(file, digest_of_files([file, *config]), self.model, device_named(self.device))


def _read(judge: _Preference, captions: list[str]) -> Tensor:
    return cast(Tensor, judge.net.encode_text(judge.tokenizer(captions).to(judge.device))).cpu()


def _letterboxed(images: UInt8[Tensor, "n 3 h w"], judge: _Preference, *, antialias: bool) -> Float[Tensor, "n 3 s s"]:
    side = judge.net.visual.image_size[0]
    unit = images.to(judge.device).float() / 255
    longer = max(unit.shape[2:])
    if longer != side:
        size = [max(1, round(length * side / longer)) for length in unit.shape[2:]]
        unit = interpolate(unit, size=size, mode="bicubic", antialias=antialias)
    above, left = ((side - length) // 2 for length in unit.shape[2:])
    below, right = (side - length - before for length, before in zip(unit.shape[2:], (above, left), strict=True))
    boxed = pad(unit, [left, right, above, below])
    mean, std = (torch.tensor(values, device=judge.device)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (boxed - mean) / std


@loaded_once
def _reward(file: Path, _digest: str, vocabulary: Path, device: torch.device) -> _Reward:
    tensors = renamed(read_tensors(file, for_scores=True))
    net = load_checked(empty_network(Shapes.read(file.parent)), tensors, file, assign=True)
    # The official tokenizer has two more tokens than BERT's, which captions may contain.
    tokenizer = BertTokenizer(
        str(vocabulary), do_lower_case=True, bos_token="[DEC]", additional_special_tokens=["[ENC]"]
    )
    return _Reward(net.to(device), tokenizer, device)


@loaded_once
def _preference(file: Path, _digest: str, model: str, device: torch.device) -> _Preference:
    with init_empty_weights(include_buffers=False):
        net = _open_clip(model)
    filled = load_checked(net, read_tensors(file, for_scores=True), file, assign=True).to(device)
    return _Preference(cast(open_clip.CLIP, filled), open_clip.SimpleTokenizer(), device, TextFeatureCache())


def _open_clip(model: str) -> nn.Module:
    if Path(model).is_file():
        # Any: JSON.
        config: Any = capture(json.loads, Path(model).read_text(encoding="utf-8"))
    elif model in open_clip.list_models():
        config = open_clip.get_model_config(model)
    else:
        raise UserError(
            one_line(
                f"model={model}: neither a model of open_clip nor a configuration file; valid: for example ViT-H-14"
            )
        )
    made = config if isinstance(config, Failure) else capture(lambda: open_clip.CLIP(**config))
    if isinstance(made, Failure):
        raise UserError(one_line(f"model={model}: not a configuration of open_clip's CLIP ({made.error})"))
    return cast(nn.Module, made)
