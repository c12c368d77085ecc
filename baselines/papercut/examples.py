"""Training examples for the parts that inpaint with the frozen base model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from brushbench.baselines.papercut.captions import Captions
from brushbench.baselines.papercut.diffusion import Noising
from brushbench.baselines.papercut.files import load_family
from brushbench.baselines.papercut.holes import Holes, HoleSource
from brushbench.baselines.papercut.latents import EncodedCorpus, Hole, Shape
from brushbench.baselines.stable_diffusion import Latents
from brushbench.core.types import Batch


@dataclass(frozen=True, slots=True)
class Example:
    """A batch of scenes with holes, for one training step."""

    holes: Holes
    text: Float[Tensor, "n 77 c"]
    """The scenes' encoded captions."""
    noisy: Latents
    noise: Latents
    """The noise in the noisy latents, which is to be predicted."""
    times: Int[Tensor, " n"]


@final
class Examples:
    """Draws examples and computes the loss of predictions."""

    def __init__(self, encoded: EncodedCorpus, output: Path, hole: Hole, shapes: Mapping[Shape, float]) -> None:
        self.sd = load_family(output)
        self.sd.unet.to(memory_format=torch.channels_last)
        self._holes = HoleSource(encoded, hole, shapes)
        self._captions = Captions(self.sd.tokenizer, encoded.corpus.scenes)
        self._noising = Noising()

    def __call__(self, batch: int, draw: torch.Generator) -> Example:
        """Draw an example of `batch` scenes."""
        holes = self._holes(batch, draw)
        with torch.no_grad():
            text = self.sd.text_encoder(self._captions.drawn(holes.chosen, draw)).last_hidden_state
        noisy, noise, times = self._noising(holes.latents, draw)
        return Example(holes, text, noisy, noise, times)

    def loss(self, example: Example, predicted: Latents) -> Float[Tensor, ""]:
        """The loss of a noise prediction, as in `Noising`."""
        return self._noising.loss(predicted, example.noise, example.times)

    def shown(self) -> Batch:
        """The scenes and holes shown on every sheet."""
        return self._holes.example(8)
