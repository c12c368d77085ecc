"""The family's inpainting ControlNet."""

from pathlib import Path
from typing import final

import torch
from diffusers import ControlNetModel
from jaxtyping import Float
from torch import Tensor, nn

from brushbench.baselines.controlnet_inpainting import (
    ControlNetInpainting,
    ControlNetInpaintingOptions,
    masked_condition,
)
from brushbench.baselines.papercut.diffusion import GUIDANCE, STEPS
from brushbench.baselines.papercut.examples import Examples
from brushbench.baselines.papercut.files import save_model
from brushbench.baselines.papercut.latents import EncodedCorpus
from brushbench.baselines.papercut.sheets import filled
from brushbench.baselines.papercut.training import Recipe
from brushbench.imaging.sheets import Sheet

RECIPE = Recipe(steps=1000, batch=32, rate=1e-3, warmup=50, averaging=0.99)
EMBEDDING_WIDTHS = (16, 16, 24, 32)


@final
class ControlNetPart:
    """Training of an inpainting ControlNet, Zhang et al., arXiv:2302.05543; in its condition, masked pixels are -1."""

    name = "controlnet"

    def __init__(self, encoded: EncodedCorpus, output: Path) -> None:
        self._output = output
        self._images = encoded.corpus.images
        self._examples = Examples(encoded, output, "black", {"inside": 0.4, "outside": 0.3, "brush": 0.3})
        self._sd = self._examples.sd
        self._controlnet = ControlNetModel.from_unet(
            self._sd.unet, conditioning_embedding_out_channels=EMBEDDING_WIDTHS
        ).train()

    @property
    def trained(self) -> nn.Module:
        """The ControlNet, which is all that learns."""
        return self._controlnet

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """The loss of the base model's noise prediction with the ControlNet's residuals."""
        example = self._examples(batch, draw)
        condition = masked_condition(self._images[example.holes.chosen], example.holes.masks)
        inputs = example.noisy, example.times, example.text
        down, mid = self._controlnet(*inputs, condition, return_dict=False)
        added = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
        return self._examples.loss(example, self._sd.unet(*inputs, **added).sample)

    def sheet(self) -> Sheet:
        """Rows of scenes, masked scenes and results."""
        options = ControlNetInpaintingOptions(steps=STEPS, guidance=GUIDANCE)
        return filled(ControlNetInpainting(self._sd, self._controlnet, options), self._examples.shown())

    def save(self) -> None:
        """Save `controlnet/`."""
        save_model(self._controlnet, self._output / "controlnet")
