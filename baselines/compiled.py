"""What the recipe `fast` compiles of diffusion models, and how it decodes latents in slices.

Blocks are compiled one by one, each class of them once for each shape: it takes less time than compiling a whole UNet,
and what methods do between blocks (residuals of BrushNet and ControlNet, an IP-Adapter's texts) stays as it is.
"""

import math
from collections.abc import Collection
from typing import cast

import torch
from diffusers import AutoencoderKL
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from jaxtyping import Float
from torch import Tensor, nn

from brushbench.core.compute import FAST
from brushbench.weights.runtime import Runtime

BLOCKS = (BasicTransformerBlock, ResnetBlock2D)
SLICE = 4
"""Latents that are decoded at a time, at most: a decoder's hidden states are as large as pictures."""


def compile_blocks(model: nn.Module, runtime: Runtime, besides: Collection[nn.Module] = ()) -> None:
    """Compile the transformer and resnet blocks of a UNet, or of a branch, if the recipe says so.

    `besides` are those with hooks inside that come and go.
    """
    left = {id(module) for module in besides}
    runtime.compile(*(module for module in model.modules() if type(module) in BLOCKS and id(module) not in left))


def decoded(vae: AutoencoderKL, latents: Float[Tensor, "n c h w"], runtime: Runtime) -> Float[Tensor, "n 3 H W"]:
    """What the VAE makes of scaled latents, by the recipe."""
    if runtime.compute != FAST:
        return cast(Tensor, vae.decode(latents, return_dict=False)[0])
    parts = slices(latents)
    return torch.cat([vae.decode(part, return_dict=False)[0] for part in parts])[: len(latents)]


def slices(latents: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "m c h w"]]:
    """As few slices of at most `SLICE` as can be, of one shape, with the last latents again where some are lacking."""
    count = math.ceil(len(latents) / SLICE)
    lacking = -len(latents) % count
    return list(torch.cat([latents, latents[-1:].expand(lacking, -1, -1, -1)]).chunk(count))
