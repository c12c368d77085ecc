"""The family's second judge: a small classifier of scenes, trained apart from every other part.

Its CLIP was trained on softened and noisy scenes, so that it recognises generated pictures: it doesn't notice blur or
noise. This judge sees only clean scenes, which no other part has seen. The statistics of its features, which
`papercut-fd` compares, therefore change with whatever makes a picture unlike them.
"""

from pathlib import Path
from typing import final

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from transformers import ConvNextConfig, ConvNextForImageClassification

from brushbench.baselines.papercut.corpus import Corpus
from brushbench.baselines.papercut.files import save_model
from brushbench.baselines.papercut.sheets import sheet_of
from brushbench.baselines.papercut.training import Recipe
from brushbench.baselines.papercut.world.objects import OBJECTS
from brushbench.baselines.papercut.world.scene import COLOURS, PLACES, STYLES
from brushbench.core.types import Batch, Sample
from brushbench.evaluation.select_metrics import load_set_metric
from brushbench.imaging.sheets import Sheet

RECIPE = Recipe(steps=2000, batch=32, rate=4e-3, weight_decay=0.05, averaging=0.998, seed=7)
FIRST_SCENE = 1 << 20
"""Seed of its first training scene, far from those of the other parts."""
FOLDER = "judge"
SIDE = 128
SHIFT = 12
"""Most pixels by which a scene is shifted."""
SHOWN = 8
SCALED = 512
"""Number of training scenes from which the scales of the features are computed."""
KINDS: dict[str, list[str]] = {
    "object": list(OBJECTS),
    "colour": list(COLOURS),
    "place": list(PLACES),
    "style": list(STYLES),
}
"""What it learns to tell, each with its classes, in the order of the model's labels."""


def new_judge() -> ConvNextForImageClassification:
    """A random ConvNeXt, Liu et al., arXiv:2201.03545, of three stages, with one label for each class of each kind."""
    labels = [f"{kind}: {name}" for kind, names in KINDS.items() for name in names]
    config = ConvNextConfig(
        num_channels=3,
        patch_size=4,
        num_stages=3,
        hidden_sizes=[12, 16, 24],
        depths=[1, 1, 2],
        layer_scale_init_value=0.0,
        image_size=SIDE,
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    return ConvNextForImageClassification(config)


@final
class JudgePart:
    """Training of the classifier: the sum of the cross entropies of all kinds."""

    name = "judge"

    def __init__(self, corpus: Corpus, output: Path) -> None:
        self._corpus = corpus
        self._output = output
        self._judge = new_judge()
        told = [(scene.thing, scene.colour, scene.place, scene.style) for scene in corpus.scenes]
        self._told = torch.tensor(
            [[names.index(name) for names, name in zip(KINDS.values(), own, strict=True)] for own in told]
        )

    @property
    def trained(self) -> nn.Module:
        """The classifier."""
        return self._judge

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """The mean over scenes; an empty scene has neither object nor colour."""
        chosen = torch.randint(len(self._corpus), (batch,), generator=draw)
        logits = self._logits(_moved(self._corpus.images[chosen], draw))
        told, seen = self._told[chosen], ~self._corpus.empty[chosen]
        total = torch.zeros(())
        for place, (kind, own) in enumerate(zip(KINDS, logits, strict=True)):
            shown = seen if kind in ("object", "colour") else torch.ones_like(seen)
            total = total + cross_entropy(own[shown], told[shown, place])
        return total

    def sheet(self) -> Sheet:
        """The first scenes, with the object, the colour and the place that it sees."""
        images = self._corpus.images[:SHOWN]
        best = [own.argmax(dim=1).tolist() for own in self._logits(images)]
        names = list(KINDS.values())
        told = [", ".join(names[kind][best[kind][place]] for kind in range(3)) for place in range(len(images))]
        return sheet_of({"scene": images}, told)

    def save(self) -> None:
        """Save `judge/`, with the standard deviations of the features of `papercut-fd` among training scenes."""
        folder = self._output / FOLDER
        self._judge.config.feature_scales = None
        save_model(self._judge, folder)
        shown = Batch.of([_sample(image) for image in self._corpus.images[:SCALED]])
        features = load_set_metric("papercut-fd", checkpoint=str(folder)).features(shown, shown.images)
        self._judge.config.feature_scales = [float(f"{scale:.4g}") for scale in features.std(dim=0).tolist()]
        save_model(self._judge, folder)

    def _logits(self, images: UInt8[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _"]]:
        """The logits of each kind."""
        logits: Float[Tensor, "n c"] = self._judge(images.float() / 127.5 - 1).logits
        return list(torch.split(logits, [len(names) for names in KINDS.values()], dim=1))


def _sample(image: UInt8[Tensor, "3 h w"]) -> Sample:
    return Sample("", image, torch.zeros(1, *image.shape[1:], dtype=torch.bool), "")


def _moved(images: UInt8[Tensor, "n 3 h w"], draw: torch.Generator) -> UInt8[Tensor, "n 3 h w"]:
    """The images mirrored and shifted, but neither softened nor noisy: every pixel is one of the scene's."""
    count = len(images)
    mirrored = torch.rand(count, generator=draw) < 0.5
    turned = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    wide = pad(turned.float(), (SHIFT,) * 4, mode="replicate").to(torch.uint8)
    places = torch.randint(2 * SHIFT + 1, (count, 2), generator=draw).tolist()
    return torch.stack([image[:, y : y + SIDE, x : x + SIDE] for image, (y, x) in zip(wide, places, strict=True)])
