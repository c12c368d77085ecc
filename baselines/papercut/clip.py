"""The family's judge: a small CLIP trained to match captions to scenes."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, normalize, pad
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from brushbench.baselines.papercut.captions import caption_of
from brushbench.baselines.papercut.corpus import Corpus
from brushbench.baselines.papercut.files import save_model
from brushbench.baselines.papercut.sheets import sheet_of
from brushbench.baselines.papercut.training import Recipe
from brushbench.baselines.papercut.vocabulary import LENGTH
from brushbench.baselines.papercut.world.objects import OBJECTS
from brushbench.baselines.papercut.world.scene import COLOURS, PLACES, Scene, combinations, name_object
from brushbench.imaging.sheets import Sheet

RECIPE = Recipe(steps=4800, batch=96, rate=1e-3, restarts=(2400,), weight_decay=0.1, averaging=0.998)
WRONG = (0, 0, 0, 1, 2)
"""What is wrong in each scene's wrong captions: 0 the object, 1 the colour, 2 the place.

Mostly the object, because objects are the hardest to tell apart. Captions of the batch's other scenes count as wrong
too.
"""
SHIFT = 12
"""Most pixels by which a scene is shifted."""
SIDE = 128
SHOWN = 8


def new_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """A random CLIP: a vision tower of four layers on patches of 16 pixels, and a text tower of two layers."""
    return CLIPModel(
        CLIPConfig(
            projection_dim=96,
            logit_scale_init_value=2.66,
            text_config={
                "vocab_size": len(tokenizer),
                "hidden_size": 96,
                "intermediate_size": 384,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "max_position_embeddings": LENGTH,
                "bos_token_id": tokenizer.bos_token_id,
                "eos_token_id": tokenizer.eos_token_id,
                "pad_token_id": tokenizer.pad_token_id,
            },
            vision_config={
                "hidden_size": 128,
                "intermediate_size": 512,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "image_size": SIDE,
                "patch_size": 16,
            },
        )
    )


@final
class CLIPPart:
    """Training of CLIP, Radford et al., arXiv:2103.00020, with additional wrong captions for each scene."""

    name = "clip"

    def __init__(self, corpus: Corpus, tokenizer: CLIPTokenizer, output: Path) -> None:
        self._corpus = corpus
        self._tokenizer = tokenizer
        self._output = output
        self._clip = new_clip(tokenizer)
        self._processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIDE)
        self._pool = frozenset(combinations(held_out=False))

    @property
    def trained(self) -> nn.Module:
        """The CLIP, of which both towers learn."""
        return self._clip

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """The contrastive loss of the paper's figure 3, with the wrong captions among each scene's choices."""
        chosen = torch.randint(len(self._corpus), (batch,), generator=draw)
        words = np.random.default_rng(torch.randint(1 << 62, (2,), generator=draw).tolist())
        captions = [self._captions(index, words) for index in chosen.tolist()]
        images = self._features(self._disturbed(self._corpus.images[chosen], draw))
        right, *wrong = (self._text([texts[place] for texts in captions]) for place in range(1 + len(WRONG)))
        scale = self._clip.logit_scale.exp().clamp(max=100)
        among = torch.cat([images @ right.T, *[(images * other).sum(dim=1, keepdim=True) for other in wrong]], dim=1)
        answers = torch.arange(batch)
        matched = (cross_entropy(scale * among, answers) + cross_entropy(scale * right @ images.T, answers)) / 2
        return matched + self._named(images, chosen, scale)

    def sheet(self) -> Sheet:
        """Rows of the first scenes, and of the scenes that fit their captions best and second best among many."""
        images = self._corpus.images[:512]
        captions = [scene.caption for scene in self._corpus.scenes[:SHOWN]]
        with torch.inference_mode():
            features = self._features(images.float() / 255)
            best = (self._text(captions) @ features.T).topk(2).indices
        shown = {"scene": images[:SHOWN], "fits best": images[best[:, 0]], "second best": images[best[:, 1]]}
        return sheet_of(shown, captions)

    def save(self) -> None:
        """Save `clip/` with the family's tokenizer and the image preprocessor."""
        folder = self._output / "clip"
        save_model(self._clip, folder)
        shutil.copytree(self._output / "tokenizer", folder, dirs_exist_ok=True)
        self._processor.save_pretrained(folder)

    def _named(
        self, images: Float[Tensor, "n c"], chosen: Int[Tensor, " n"], scale: Float[Tensor, ""]
    ) -> Float[Tensor, ""]:
        """The loss of the objects' bare names, so that a word is learned apart from its neighbours."""
        names = self._text([name_object(thing) for thing in OBJECTS])
        things = torch.tensor([list(OBJECTS).index(self._corpus.scenes[index].thing) for index in chosen.tolist()])
        seen = ~self._corpus.empty[chosen]
        return cross_entropy(scale * images[seen] @ names.T, things[seen])

    def _captions(self, index: int, words: np.random.Generator) -> list[str]:
        """A caption of a scene and its wrong captions (see `WRONG`), all of combinations allowed in training."""
        scene = self._corpus.scenes[index]
        if bool(self._corpus.empty[index]):
            return [scene.caption, *[caption_of(scene, words) for _ in WRONG]]
        own = (scene.thing, scene.colour, scene.place)
        return [caption_of(scene, words), *[self._wrong(scene, own, place, words) for place in WRONG]]

    def _wrong(self, scene: Scene, own: tuple[str, str, str], place: int, words: np.random.Generator) -> str:
        choices = [list(OBJECTS), list(COLOURS), list(PLACES)][place]
        others = [
            changed
            for value in choices
            if value != own[place] and (changed := (*own[:place], value, *own[place + 1 :])) in self._pool
        ]
        thing, colour, where = others[int(words.integers(len(others)))]
        return caption_of(replace(scene, thing=thing, colour=colour, place=where), words)

    def _features(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        mean, std = (
            torch.tensor(value)[:, None, None] for value in (self._processor.image_mean, self._processor.image_std)
        )
        pooled = self._clip.vision_model((images - mean) / std).pooler_output
        return normalize(self._clip.visual_projection(pooled), dim=1)

    def _text(self, captions: list[str]) -> Float[Tensor, "n c"]:
        tokens = self._tokenizer(captions, padding="longest", max_length=LENGTH, truncation=True, return_tensors="pt")
        pooled = self._clip.text_model(**tokens).pooler_output
        return normalize(self._clip.text_projection(pooled), dim=1)

    @staticmethod
    def _disturbed(images: UInt8[Tensor, "n 3 h w"], draw: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """The images shifted, mirrored, softened, brightened or darkened, and noisy, like generated pictures."""
        count = len(images)
        unit = images.float() / 255
        mirrored = torch.rand(count, generator=draw) < 0.5
        unit = torch.where(mirrored[:, None, None, None], unit.flip(3), unit)
        wide = pad(unit, (SHIFT,) * 4, mode="replicate")
        places = torch.randint(2 * SHIFT + 1, (count, 2), generator=draw).tolist()
        unit = torch.stack([image[:, y : y + SIDE, x : x + SIDE] for image, (y, x) in zip(wide, places, strict=True)])
        soft = interpolate(interpolate(unit, scale_factor=0.5, mode="area"), scale_factor=2, mode="bilinear")
        unit = torch.lerp(unit, soft, torch.rand(count, 1, 1, 1, generator=draw))
        light = 1 + 0.12 * torch.randn(count, 1, 1, 1, generator=draw)
        noise = 0.04 * torch.rand(count, 1, 1, 1, generator=draw) * torch.randn(unit.shape, generator=draw)
        return (unit * light + noise).clamp(0, 1)
