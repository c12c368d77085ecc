"""The family's BrushNet: a branch on the frozen base model, for segmentation masks and for random ones."""

from pathlib import Path
from typing import final

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from baselines.brushnet.method import BrushNet, BrushNetOptions
from baselines.brushnet.model import BrushNetModel
from baselines.brushnet.residuals import with_residuals
from baselines.papercut.diffusion import GUIDANCE, STEPS, Captions, Noising
from baselines.papercut.files import load_family, save_model
from baselines.papercut.holes import HoleSource
from baselines.papercut.latents import EncodedCorpus, Shape
from baselines.papercut.sheets import sheet_of
from baselines.papercut.training import Recipe

SEGMENTATION_RECIPE = Recipe(steps=1100, batch=32, rate=1e-3, warmup=100, averaging=0.998)
RANDOM_RECIPE = Recipe(steps=400, batch=32, rate=1e-3, warmup=100, averaging=0.995)
SEGMENTATION: dict[Shape, float] = {"inside": 0.5, "outside": 0.5}
RANDOM: dict[Shape, float] = {"brush": 1.0}


@final
class BrushNetPart:
    """Ju et al., arXiv:2403.06976, section 3: only the branch learns."""

    def __init__(self, name: str, shapes: dict[Shape, float], encoded: EncodedCorpus, output: Path) -> None:
        self.name = name
        self._output = output
        self._sd = load_family(output)
        self._holes = HoleSource(encoded, "black", shapes)
        self._captions = Captions(self._sd.tokenizer, [scene.caption for scene in encoded.corpus.scenes])
        self._noising = Noising()
        self._branch = BrushNetModel.from_unet(self._sd.unet)

    @property
    def trained(self) -> nn.Module:
        """The branch."""
        return self._branch

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """Of the noise that the base model predicts with the branch's features."""
        holes = self._holes(batch, draw)
        condition = torch.cat([holes.masked, 1 - holes.small_masks], dim=1)
        with torch.no_grad():
            text = self._sd.text_encoder(self._captions.drawn(holes.chosen, draw)).last_hidden_state
        noisy, noise, times = self._noising(holes.latents, draw)
        with with_residuals(self._sd.unet, self._branch(noisy, times, condition)) as unet:
            predicted = unet(noisy, times, text).sample
        return self._noising.loss(predicted, noise, times)

    def sheet(self) -> UInt8[Tensor, "3 h w"]:
        """Scenes, holes, results."""
        return sheet_of(
            BrushNet(self._sd, self._branch, BrushNetOptions(steps=STEPS, guidance=GUIDANCE)), self._holes.example(8)
        )

    def save(self) -> None:
        """A folder with the part's name."""
        save_model(self._branch, self._output / self.name)
