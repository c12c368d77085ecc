"""PAIntA: self-attention in which a hole attends to its surroundings only as far as they fit the caption."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast, final

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, scaled_dot_product_attention

from brushbench.baselines.hd_painter.layers import logits, project, transformer_blocks
from brushbench.baselines.hd_painter.subject import Subject
from brushbench.baselines.transfer import to_device

LEVELS = (1, 2)
"""Levels at 1/16 and 1/32 of the picture's sides."""


@contextmanager
def with_painta(unet: UNet2DConditionModel, subject: Subject) -> Iterator[None]:
    """Use Prompt-Aware Introverted Attention in the UNet while the context is open.

    The first pass must be the one that reads the captions: later passes reuse its coefficients.
    """
    handles = []
    try:
        for level, block in transformer_blocks(unet):
            if level in LEVELS:
                change = _Change(block, subject, subject.holes[level])
                handles.append(block.norm1.register_forward_pre_hook(change.before))
                handles.append(block.attn1.register_forward_hook(change))
        yield
    finally:
        for handle in handles:
            handle.remove()


@final
@dataclass(slots=True)
class _Change:
    """PAIntA's change of one self-attention layer."""

    block: BasicTransformerBlock
    subject: Subject
    holes: Bool[Tensor, "n 1 h w"]
    stream: Float[Tensor, "n pixels c"] = field(init=False)
    """The block's input, to which the attention's output will be added."""
    coefficients: Float[Tensor, "n pixels"] | None = None
    """Weights of the pixels, computed in the first pass."""

    # Any: the input of any module.
    def before(self, _norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Keep the block's input."""
        self.stream = inputs[0]

    # Any: the input of any module.
    def __call__(self, attention: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        """The attention's output, replaced at the pixels of the hole."""
        if self.coefficients is None:
            likeness = similarity(self.block, self.stream + output, self.subject)
            self.coefficients = coefficients(likeness.view(self.holes.shape))
        holes = self.holes.flatten(1)
        weights = torch.where(holes, 1, self.coefficients).to(output.dtype)
        return torch.where(holes[..., None], weighted(attention, inputs[0], weights), output)


def similarity(
    block: BasicTransformerBlock, stream: Float[Tensor, "n pixels c"], subject: Subject
) -> Float[Tensor, "n pixels"]:
    """How much each pixel attends to the caption's words in the block's cross-attention, on [0, 1]."""
    attended = logits(block.attn2, block.norm2(stream), subject.context).float().softmax(dim=-1).mean(dim=1)
    return (attended * subject.words[:, None]).sum(dim=-1)


def coefficients(likeness: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n pixels"]:
    """Weights of the surroundings, on [0, 1]: 0 where they are less like the caption than the (lower) median."""
    smooth = conv2d(likeness, _kernel_on(likeness.device).to(likeness.dtype), padding=1).flatten(1)
    median = smooth.median(dim=1, keepdim=True).values
    return ((smooth - median) / smooth.amax(dim=1, keepdim=True)).clamp(0, 1)


@cache
@torch.inference_mode(False)
def _kernel_on(device: torch.device) -> Float[Tensor, "1 1 3 3"]:
    """Sent there once, and not at each step; never in inference mode, as RASG takes gradients through it."""
    return to_device(smoothing_kernel(), device)


def smoothing_kernel() -> Float[Tensor, "1 1 3 3"]:
    """The official kernel, e^-1 at distance 1: a Gaussian of sigma 0.71, although the code says 0.5."""
    line = torch.tensor([math.exp(-1), 1, math.exp(-1)])
    return torch.outer(line, line)[None, None] / line.sum() ** 2


def weighted(
    attention: Attention, tokens: Float[Tensor, "n pixels c"], weights: Float[Tensor, "n pixels"]
) -> Float[Tensor, "n pixels c"]:
    """Self-attention whose logits are multiplied by the weight of the attended pixel."""
    layers = (attention.to_q, attention.to_k, attention.to_v)
    query, key, value = (project(attention, layer, tokens) for layer in layers)
    # Scaling a key scales its logits, without a table of all logits in memory.
    seen = scaled_dot_product_attention(query, key * weights[:, None, :, None], value, scale=attention.scale)
    return cast(Tensor, attention.to_out[0](seen.transpose(1, 2).flatten(2)))
