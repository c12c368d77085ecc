"""Training captions: reworded each time, and some of them shortened, dropped or padded with fillers."""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from transformers import CLIPTokenizer

from brushbench.baselines.papercut.corpus import is_empty
from brushbench.baselines.papercut.vocabulary import FILLERS, LENGTH
from brushbench.baselines.papercut.world.scene import Scene, write_caption, write_empty_caption, write_partial_caption

DROPPED = 0.1
"""Share of captions that are dropped, for classifier-free guidance: Ho and Salimans, arXiv:2207.12598."""
PARTIAL = 0.25
"""Share of captions without colour or place, so that the meaning of a word is learned apart from its neighbours."""
FILLED = 0.1
"""Share of captions, dropped ones included, to which meaningless filler words are added."""


@final
class Captions:
    """Captions of training scenes as token ids."""

    def __init__(self, tokenizer: CLIPTokenizer, scenes: Sequence[Scene]) -> None:
        self._tokenizer = tokenizer
        self._scenes = scenes

    def drawn(self, chosen: Tensor, draw: torch.Generator) -> Int[Tensor, "n 77"]:
        """Token ids of captions for the chosen scenes."""
        words = np.random.default_rng(torch.randint(1 << 62, (2,), generator=draw).tolist())
        chances = torch.rand(len(chosen), 3, generator=draw).tolist()
        texts = []
        for index, (drop, cut, fill) in zip(chosen.tolist(), chances, strict=True):
            caption = "" if drop < DROPPED else written(self._scenes[index], words, partial=cut < PARTIAL)
            texts.append(self._filled(caption, draw) if fill < FILLED else caption)
        return self.ids(texts)

    def ids(self, texts: Sequence[str]) -> Int[Tensor, "n 77"]:
        """Token ids of texts, padded and cut to CLIP's length."""
        tokens = self._tokenizer(
            list(texts), padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
        )
        return tokens.input_ids

    @staticmethod
    def _filled(caption: str, draw: torch.Generator) -> str:
        count = int(torch.randint(1, len(FILLERS), (1,), generator=draw))
        order = torch.randperm(len(FILLERS), generator=draw)[:count].tolist()
        fillers = ", ".join(FILLERS[index] for index in order)
        before = int(torch.randint(4, (1,), generator=draw)) == 0
        return ", ".join(filter(None, [fillers, caption] if before else [caption, fillers]))


def caption_of(scene: Scene, words: np.random.Generator) -> str:
    """A caption of a scene that names its object."""
    return write_caption(words, (scene.thing, scene.colour, scene.place), scene.size, scene.style)


def written(scene: Scene, words: np.random.Generator, *, partial: bool = False) -> str:
    """A caption of a training scene, with or without an object; a `partial` caption leaves out colour or place."""
    if is_empty(scene.seed):
        return write_empty_caption(words, scene.place)
    if partial:
        return write_partial_caption(words, (scene.thing, scene.colour, scene.place))
    return caption_of(scene, words)
