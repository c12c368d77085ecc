"""The family's inpainting model: its UNet with five more input channels, fine-tuned."""

from dataclasses import replace
from pathlib import Path
from typing import final

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor, nn

from brushbench.baselines.papercut.diffusion import GUIDANCE, STEPS
from brushbench.baselines.papercut.examples import Examples
from brushbench.baselines.papercut.files import save_model
from brushbench.baselines.papercut.latents import EncodedCorpus
from brushbench.baselines.papercut.sheets import filled
from brushbench.baselines.papercut.training import Recipe
from brushbench.baselines.sd_inpainting import CHANNELS, StableDiffusionInpainting, StableDiffusionInpaintingOptions
from brushbench.imaging.sheets import Sheet

RECIPE = Recipe(steps=1500, batch=32, rate=6e-4, warmup=100, averaging=0.995)
EVERYTHING = 0.15
"""Share of scenes whose hole is the whole picture; a quarter in the official training."""
FOLDER = "unet_inpainting"


@final
class InpaintingPart:
    """Training of latent diffusion inpainting, Rombach et al., arXiv:2112.10752, section 4.5."""

    name = "inpainting"

    def __init__(self, encoded: EncodedCorpus, output: Path) -> None:
        self._output = output
        self._examples = Examples(encoded, output, "grey", {"inside": 0.4, "outside": 0.2, "brush": 0.4})
        self._sd = self._examples.sd
        self._unet = widened(self._sd.unet)
        self._grey = self._sd.encode_image(torch.zeros(1, 3, 128, 128)).clone()

    @property
    def trained(self) -> nn.Module:
        """The UNet with nine input channels, which is all that learns."""
        return self._unet

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """The loss of the noise predicted from the caption, the mask and the masked scene."""
        example = self._examples(batch, draw)
        everything = (torch.rand(batch, generator=draw) < EVERYTHING)[:, None, None, None]
        masked = torch.where(everything, self._grey, example.holes.masked)
        masks = torch.where(everything, 1.0, example.holes.small_masks)
        inputs = torch.cat([example.noisy, masks, masked], dim=1)
        return self._examples.loss(example, self._unet(inputs, example.times, example.text).sample)

    def sheet(self) -> Sheet:
        """Rows of scenes, masked scenes and results."""
        options = StableDiffusionInpaintingOptions(steps=STEPS, guidance=GUIDANCE)
        method = StableDiffusionInpainting(replace(self._sd, unet=self._unet), options)
        return filled(method, self._examples.shown())

    def save(self) -> None:
        """Save `unet_inpainting/`."""
        save_model(self._unet, self._output / FOLDER)


def widened(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """A copy of the UNet that also reads a mask and four more latent channels, at first with zero weights."""
    # The name of the folder that the UNet came from would be stored otherwise.
    config = {name: value for name, value in unet.config.items() if name != "_name_or_path"}
    wide = UNet2DConditionModel.from_config(config, in_channels=CHANNELS)
    weights = unet.state_dict()
    first = torch.zeros_like(wide.conv_in.weight)
    first[:, :4] = weights["conv_in.weight"]
    wide.load_state_dict(weights | {"conv_in.weight": first})
    return wide
