"""The attention layers of a UNet: how to find them, and their projections and logits."""

from collections.abc import Callable
from typing import cast

from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from jaxtyping import Float
from torch import Tensor


def transformer_blocks(unet: UNet2DConditionModel) -> list[tuple[int, BasicTransformerBlock]]:
    """(level, block) in the order in which the blocks run. At level k, a side is 1/2^k of its length in the latents."""
    deepest = len(unet.down_blocks) - 1
    stages = [*enumerate(unet.down_blocks), (deepest, unet.mid_block)]
    stages += [(deepest - index, stage) for index, stage in enumerate(unet.up_blocks)]
    return [
        (level, module)
        for level, stage in stages
        for module in stage.modules()
        if isinstance(module, BasicTransformerBlock)
    ]


def project(
    attention: Attention, layer: Callable[[Tensor], Tensor], tokens: Float[Tensor, "n tokens _"]
) -> Float[Tensor, "n heads tokens d"]:
    """The tokens projected by a layer of the attention (query, key or value), split into heads."""
    count, length = tokens.shape[:2]
    return layer(tokens).view(count, length, attention.heads, -1).transpose(1, 2)


def logits(
    attention: Attention, image: Float[Tensor, "n pixels _"], context: Float[Tensor, "n tokens _"]
) -> Float[Tensor, "n heads pixels tokens"]:
    """How much each pixel attends to each token, scaled, before the softmax."""
    query, key = project(attention, attention.to_q, image), project(attention, attention.to_k, context)
    return cast(Tensor, query @ key.transpose(-1, -2) * attention.scale)
