"""Decide what a picture of a scene shows, with the family's CLIP."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast, final, runtime_checkable

import torch
from jaxtyping import Bool, Float64, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from brushbench.baselines.papercut.world.objects import OBJECTS
from brushbench.baselines.papercut.world.scene import COLOURS, PLACES, plain_captions
from brushbench.core.types import Sample
from brushbench.evaluation.select_metrics import load_metric

CHUNK = 256
"""Number of captions encoded at a time."""
KINDS: dict[str, list[str]] = {"object": list(OBJECTS), "colour": list(COLOURS), "place": list(PLACES)}
Images = UInt8[Tensor, "n 3 h w"]


@runtime_checkable
class Judge(Protocol):
    """The family's CLIP, as its metric provides it."""

    def image_features(self, images: Images) -> Float64[Tensor, "n c"]:
        """The features of images, normalised to length 1."""
        ...

    def text_features(self, captions: Sequence[str]) -> Float64[Tensor, "n c"]:
        """The features of captions, normalised to length 1."""
        ...


@final
class Recognition:
    """Tells which pictures of some scenes are right, by a CLIP in a folder of weights.

    The CLIP decides what a picture shows: of all objects (or colours, or places), the one whose captions fit best,
    given the other two. The features of all wordings of a choice are averaged: Radford et al., arXiv:2103.00020,
    section 3.1.4. A picture is right if this agrees with its scene.
    """

    def __init__(self, weights: Path, scenes: Sequence[Sample]) -> None:
        self.judge = cast(Judge, load_metric("papercut-clip", checkpoint=str(weights / "clip")))
        self._told = torch.tensor(
            [[values.index(scene.tags[kind]) for kind, values in KINDS.items()] for scene in scenes]
        )
        self._choices = self._features_of_choices()

    def right(self, images: Images) -> dict[str, Bool[Tensor, " n"]]:
        """Whether each picture, one per scene, shows the scene's object, colour and place."""
        features = self.judge.image_features(images)
        found = {}
        for axis, kind in enumerate(KINDS):
            one, two = (self._told[:, place] for place in range(len(KINDS)) if place != axis)
            offered = self._choices.movedim(axis, 2)[one, two]
            found[kind] = torch.einsum("nc,nkc->nk", features, offered).argmax(dim=1) == self._told[:, axis]
        return found

    def _features_of_choices(self) -> Float64[Tensor, "objects colours places c"]:
        captions = [
            plain_captions((thing, colour, place)) for thing, colour, place in itertools.product(*KINDS.values())
        ]
        flat = list(itertools.chain.from_iterable(captions))
        parts = [flat[start : start + CHUNK] for start in range(0, len(flat), CHUNK)]
        read = torch.cat([self.judge.text_features(part) for part in parts])
        means = read.reshape(len(captions), -1, read.shape[1]).mean(dim=1)
        return normalize(means, dim=1).reshape(*map(len, KINDS.values()), -1)
