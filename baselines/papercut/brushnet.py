"""The family's BrushNet: a branch on the frozen base model, one for segmentation masks and one for random masks."""

from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brushbench.baselines.brushnet.method import BrushNet, BrushNetOptions
from brushbench.baselines.brushnet.model import BrushNetModel
from brushbench.baselines.brushnet.residuals import with_residuals
from brushbench.baselines.papercut.diffusion import GUIDANCE, STEPS
from brushbench.baselines.papercut.examples import Examples
from brushbench.baselines.papercut.files import save_model
from brushbench.baselines.papercut.latents import EncodedCorpus, Shape
from brushbench.baselines.papercut.sheets import filled
from brushbench.baselines.papercut.training import Recipe
from brushbench.imaging.sheets import Sheet

SEGMENTATION_RECIPE = Recipe(steps=2000, batch=32, rate=1e-3, warmup=100, averaging=0.998)
RANDOM_RECIPE = Recipe(steps=800, batch=32, rate=1e-3, warmup=100, averaging=0.995)
SEGMENTATION: dict[Shape, float] = {"inside": 0.5, "outside": 0.5}
RANDOM: dict[Shape, float] = {"brush": 1.0}


@final
class BrushNetPart:
    """Training of BrushNet, Ju et al., arXiv:2403.06976: only the branch learns."""

    def __init__(self, name: str, shapes: dict[Shape, float], encoded: EncodedCorpus, output: Path) -> None:
        self.name = name
        self._output = output
        self._examples = Examples(encoded, output, "black", shapes)
        self._sd = self._examples.sd
        self._branch = BrushNetModel.from_unet(self._sd.unet)

    @property
    def trained(self) -> nn.Module:
        """The branch, which is all that learns."""
        return self._branch

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """The loss of the base model's noise prediction with the branch's features."""
        example = self._examples(batch, draw)
        condition = torch.cat([example.holes.masked, 1 - example.holes.small_masks], dim=1)
        with with_residuals(self._sd.unet, self._branch(example.noisy, example.times, condition)) as unet:
            predicted = unet(example.noisy, example.times, example.text).sample
        return self._examples.loss(example, predicted)

    def sheet(self) -> Sheet:
        """Rows of scenes, masked scenes and results."""
        options = BrushNetOptions(steps=STEPS, guidance=GUIDANCE)
        return filled(BrushNet(self._sd, self._branch, options), self._examples.shown())

    def save(self) -> None:
        """Save the branch in a folder with the part's name."""
        save_model(self._branch, self._output / self.name)
