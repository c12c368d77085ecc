"""RASG: the direction in latent space that moves the attention of the caption's words into the hole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from brushbench.baselines.hd_painter.layers import logits, transformer_blocks
from brushbench.baselines.hd_painter.subject import Subject
from brushbench.baselines.stable_diffusion import Latents
from brushbench.weights.recipe import eagerly

LEVEL = 2
"""The level at 1/32 of the picture's sides."""
THRESHOLD = 1.0
"""The logit above which a pixel counts as belonging to a word."""


def guidance_level(unet: UNet2DConditionModel) -> int:
    """`LEVEL`, or the coarsest level with cross-attention if the UNet has none at `LEVEL`."""
    levels = {level for level, _ in transformer_blocks(unet)}
    return LEVEL if LEVEL in levels else max(levels)


def noise_and_direction(
    predict: Callable[[Latents], Latents], latents: Latents, unet: UNet2DConditionModel, subject: Subject
) -> tuple[Latents, Latents]:
    """(predicted noise, the score's gradient over its standard deviation): Reweighting Attention Score Guidance.

    The prediction is recorded for the gradient only up to the layers that the score is computed from. In this pass
    nothing is compiled.
    """
    level = guidance_level(unet)
    latents = latents.detach().requires_grad_()
    with _cross_attention(unet, level, subject.context) as maps, eagerly():
        noise = predict(latents)
    with torch.enable_grad():
        total = attention_score(maps, subject.words, subject.holes[level])
    gradient = torch.autograd.grad(total, latents)[0]
    return noise, gradient / gradient.std(dim=(1, 2, 3), keepdim=True)


def attention_score(
    maps: Sequence[Float[Tensor, "n heads pixels 77"]], words: Float[Tensor, "n 77"], holes: Bool[Tensor, "n 1 h w"]
) -> Float[Tensor, ""]:
    """How well the attention to each word, averaged over layers and heads, separates the hole from the rest; at most 0.

    The score is summed over the samples, which doesn't mix their gradients.
    """
    mean = torch.stack([layer.float().mean(dim=1) for layer in maps]).mean(dim=0)
    target = holes.flatten(2).transpose(1, 2).float().expand_as(mean)
    loss = binary_cross_entropy_with_logits(mean - THRESHOLD, target, reduction="none").mean(dim=1)
    return -(loss * words).sum()


@contextmanager
def _cross_attention(unet: UNet2DConditionModel, level: int, context: Tensor) -> Iterator[list[Tensor]]:
    """Collect the logits of every cross-attention layer of a level during a pass through the UNet."""
    blocks = [block for at, block in transformer_blocks(unet) if at == level]
    maps: list[Tensor] = []

    # Any: the input of any module.
    def keep(attention: nn.Module, inputs: tuple[Any, ...]) -> None:
        maps.append(logits(attention, inputs[0], context))
        if len(maps) == len(blocks):
            # The score doesn't depend on later layers, which would take most of the gradient's memory.
            torch.set_grad_enabled(False)

    handles = [block.attn2.register_forward_pre_hook(keep) for block in blocks]
    try:
        with torch.enable_grad():
            yield maps
    finally:
        for handle in handles:
            handle.remove()
