"""Evaluate the family on the test scenes with the suite's own methods and metrics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Bool
from tabulate import tabulate
from torch import Tensor

from brushbench.baselines.papercut.diffusion import GUIDANCE, STEPS, text_to_image
from brushbench.baselines.papercut.files import load_family
from brushbench.baselines.papercut.inpainting import FOLDER
from brushbench.baselines.papercut.recognition import KINDS, Images, Recognition
from brushbench.baselines.sd_inpainting import StableDiffusionInpainting, StableDiffusionInpaintingOptions
from brushbench.baselines.stable_diffusion import to_unit
from brushbench.core.progress import ProgressCallback
from brushbench.core.protocol import PROTOCOLS
from brushbench.core.types import Batch, Method, Sample
from brushbench.datasets.open import load_dataset
from brushbench.evaluation.methods import load_method
from brushbench.evaluation.select_metrics import load_metric

SHIPPED = Path(__file__).parent / "weights"
BATCH = 20
CHOICES = 50
SEED = 1234


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table."""

    measured: str
    cells: Mapping[str, str]
    """The cells by column."""


@final
class Quality:
    """Evaluates a family, in a folder as training writes it, on the first `limit` test scenes.

    The family's CLIP decides what a picture shows (`Recognition`); a generated one is right if it agrees with its
    caption.
    """

    def __init__(self, weights: Path, limit: int, watch: ProgressCallback) -> None:
        self._weights = weights
        self._watch = watch
        self._limit = limit
        self._sd = load_family(weights)
        samples = self._samples("inside")
        self._facts = [sample.tags for sample in samples]
        self._held_out = torch.tensor([facts["combination"] == "held out" for facts in self._facts])
        self._scenes = Batch.of(samples)
        self._recognition = Recognition(weights, samples)
        self._judge = self._recognition.judge

    def lines(self) -> Iterator[Line]:
        """All rows of the table, each as soon as it is ready."""
        scenes = self._scenes
        yield Line("autoencoder, whole scenes", {"PSNR, dB": _decibels(self._rebuilt(scenes), _all_known(scenes))})
        for source in ("artificial", "natural"):
            part = _chosen(scenes, torch.tensor([facts["source"] == source for facts in self._facts]))
            yield Line(f"autoencoder, {source} half", {"PSNR, dB": _decibels(self._rebuilt(part), _all_known(part))})
        yield Line(f"real scenes: own caption among {CHOICES}", {"caption, %": f"{self._retrieved():.1f}"})
        yield Line("chance", {f"{kind}, %": f"{100 / len(values):.1f}" for kind, values in KINDS.items()})
        yield Line("real scenes", self._recognised(scenes.images))
        yield Line("text to image", self._recognised(self._generated("text to image", scenes, self._from_text)))
        unnamed = replace(scenes, captions=("",) * len(scenes))
        yield Line(
            "brushnet, inside, no caption",
            self._recognised(self._generated("no caption", unnamed, self._brushnet("brushnet"))),
        )
        for name, method, split in (
            ("brushnet", self._brushnet("brushnet"), "inside"),
            ("brushnet", self._brushnet("brushnet"), "outside"),
            ("brushnet_random", self._brushnet("brushnet_random"), "brush"),
            ("sd-inpainting", self._inpainting(), "inside"),
        ):
            yield from self._inpainted(f"{name}, {split}", method, Batch.of(self._samples(split)))

    def _samples(self, split: str) -> list[Sample]:
        dataset = load_dataset("papercut", split=split)
        return [dataset[index] for index in range(min(self._limit, len(dataset)))]

    def _inpainted(self, name: str, method: Method, scenes: Batch) -> Iterator[Line]:
        images = self._generated(name, scenes, method)
        yield Line(name, self._recognised(images) | {"PSNR, dB": _decibels(images, scenes)})
        yield Line(f"autoencoder, the pixels known in {name}", {"PSNR, dB": _decibels(self._rebuilt(scenes), scenes)})

    def _brushnet(self, branch: str) -> Method:
        return load_method(
            "brushnet",
            weights=self._weights,
            brushnet=str(self._weights / branch),
            device="cpu",
            dtype="float32",
            steps=STEPS,
            guidance=GUIDANCE,
        )

    def _inpainting(self) -> Method:
        options = StableDiffusionInpaintingOptions(steps=STEPS, guidance=GUIDANCE)
        return StableDiffusionInpainting(load_family(self._weights, sampler=None, unet=FOLDER), options)

    def _rebuilt(self, scenes: Batch) -> Images:
        return torch.cat(
            [self._sd.decode(self._sd.encode_image(to_unit(part))) for part in torch.split(scenes.images, BATCH)]
        )

    def _from_text(self, batch: Batch, seeds: Sequence[int]) -> Images:
        return text_to_image(self._sd, batch.captions, seeds)

    def _generated(self, name: str, scenes: Batch, generate: Callable[[Batch, Sequence[int]], Images]) -> Images:
        advance = self._watch(name, len(scenes), 0)
        generated = []
        for start in range(0, len(scenes), BATCH):
            places = torch.arange(len(scenes))
            part = _chosen(scenes, (places >= start) & (places < start + BATCH))
            generated.append(generate(part, [PROTOCOLS["strict"].sample_seed(SEED, name) for name in part.ids]))
            advance(len(part), 0)
        return torch.cat(generated)

    def _retrieved(self) -> float:
        """Percentage of scenes whose own caption fits better than 49 captions drawn from the other scenes."""
        draw, count = np.random.default_rng(SEED), len(self._scenes)
        fits = self._judge.image_features(self._scenes.images) @ self._judge.text_features(self._scenes.captions).T
        right = []
        for own in range(count):
            rivals = np.delete(np.arange(count), own)
            drawn = draw.choice(rivals, min(CHOICES - 1, len(rivals)), replace=False)
            right.append(bool((fits[own, own] > fits[own, drawn]).all()))
        return 100 * sum(right) / count

    def _recognised(self, images: Images) -> dict[str, str]:
        """Cells with the percentage of scenes recognised, and in brackets of scenes with held-out combinations."""
        return {
            f"{kind}, %": f"{_percent(right)} ({_percent(right[self._held_out])})"
            for kind, right in self._recognition.right(images).items()
        }


def table(lines: Sequence[Line]) -> str:
    """The rows as a Markdown table."""
    columns = list(dict.fromkeys(column for line in lines for column in line.cells))
    rows = [[line.measured, *(line.cells.get(column, "") for column in columns)] for line in lines]
    return str(tabulate(rows, ["", *columns], tablefmt="pipe", disable_numparse=True))


def _all_known(scenes: Batch) -> Batch:
    return replace(scenes, masks=torch.zeros_like(scenes.masks))


def _percent(right: Bool[Tensor, " n"]) -> str:
    return f"{100 * float(right.double().mean()):.1f}"


def _decibels(images: Images, scenes: Batch) -> str:
    """Mean PSNR of the known pixels, formatted."""
    return f"{float(load_metric('psnr')(scenes, images).mean()):.2f}"


def _chosen(scenes: Batch, chosen: Bool[Tensor, " n"]) -> Batch:
    places = chosen.nonzero()[:, 0].tolist()
    return Batch(
        tuple(scenes.ids[place] for place in places),
        scenes.images[places],
        scenes.masks[places],
        tuple(scenes.captions[place] for place in places),
    )
