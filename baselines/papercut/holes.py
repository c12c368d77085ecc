"""Scenes with holes, for training the inpainting parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from brushbench.baselines.papercut.latents import EncodedCorpus, Hole, Shape
from brushbench.baselines.stable_diffusion import Latents
from brushbench.core.types import Batch

FACTOR = 8
"""Pixels per latent."""


@dataclass(frozen=True, slots=True)
class Holes:
    """n scenes and their holes."""

    chosen: Int[Tensor, " n"]
    """Indices of the scenes in the corpus."""
    latents: Latents
    """The latents of the whole scenes."""
    masked: Latents
    """The latents of the scenes with a hole."""
    masks: Bool[Tensor, "n 1 128 128"]
    """True = the hole."""

    @staticmethod
    def together(parts: "Sequence[Holes]") -> "Holes":
        """The concatenation of several batches."""
        return Holes(*(torch.cat([getattr(part, name) for part in parts]) for name in Holes.__slots__))

    @property
    def small_masks(self) -> Float[Tensor, "n 1 16 16"]:
        """The masks at latent size: the top left pixel of each square."""
        return interpolate(self.masks.float(), scale_factor=1 / FACTOR)


@final
class HoleSource:
    """Draws scenes with a hole of one of several shapes, whose probabilities `shapes` gives.

    `scenes` are the indices to draw from; None: all scenes that are encoded with holes.
    """

    def __init__(
        self,
        encoded: EncodedCorpus,
        hole: Hole,
        shapes: Mapping[Shape, float],
        scenes: Int[Tensor, " m"] | None = None,
    ) -> None:
        self._whole = encoded.whole()
        self._scenes = torch.arange(encoded.holed) if scenes is None else scenes
        self._shapes = list(shapes)
        self._weights = torch.tensor(list(shapes.values()))
        self._masked = {shape: encoded.masked(shape, hole) for shape in shapes}
        self._masks = {shape: encoded.masks(shape) for shape in shapes}
        self._corpus = encoded.corpus

    def __call__(self, count: int, draw: torch.Generator) -> Holes:
        """Draw `count` scenes with holes."""
        chosen = self._scenes[torch.randint(len(self._scenes), (count,), generator=draw)]
        kinds = torch.multinomial(self._weights, count, replacement=True, generator=draw).tolist()
        picked = [(self._shapes[kind], index) for kind, index in zip(kinds, chosen.tolist(), strict=True)]
        return Holes(
            chosen,
            self._whole[chosen],
            torch.stack([self._masked[shape][index] for shape, index in picked]),
            torch.stack([self._masks[shape][index] for shape, index in picked]),
        )

    def example(self, count: int) -> Batch:
        """The first scenes for sheets, with holes of the shapes in turn."""
        chosen = self._scenes[:count].tolist()
        shapes = [self._shapes[place % len(self._shapes)] for place in range(count)]
        return Batch(
            tuple(map(str, chosen)),
            self._corpus.images[chosen],
            torch.stack([self._masks[shape][index] for shape, index in zip(shapes, chosen, strict=True)]),
            tuple(self._corpus.scenes[index].caption for index in chosen),
        )
