"""Measure what damage to pictures costs in each of PaperCut's judges, and print a Markdown table.

    python benchmarks/papercut_judges.py --runs runs/papercut-inside

The test scenes themselves are the pictures: undamaged, blurred, noisy, stored as JPEG, upside down, or with a grey
hole. No judge has seen any of them in training. With `--runs`, the images of the runs in that folder, on all scenes of
the split `inside`, follow. Nothing is generated, so this takes about a minute on one CPU core. The table is in
docs/papercut.md and in results/papercut_judges.txt.
"""

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float64, UInt8
from PIL import Image, ImageFilter
from tabulate import tabulate
from torch import Tensor

from brushbench.baselines.papercut.judge import KINDS
from brushbench.baselines.papercut.quality import SHIPPED
from brushbench.baselines.papercut.recognition import Recognition
from brushbench.core.types import Batch, Sample
from brushbench.datasets.open import load_dataset
from brushbench.evaluation.select_metrics import load_metric
from brushbench.imaging.images import read_image
from brushbench.imaging.pictures import to_picture
from brushbench.metrics.distances import Frechet
from brushbench.metrics.sets import PaperCutFD
from brushbench.reports.resampling import resampled
from brushbench.reports.set_values import bootstrap_interval
from brushbench.runs.folder import Run
from brushbench.runs.folders import expand

FILE = Path(__file__).parent / "results" / "papercut_judges.txt"
GREY = 128
SEED = 1234
DRAWS = 300
"""Draws of the bootstrap behind the interval."""
Images = UInt8[Tensor, "n 3 h w"]
HEADINGS = (
    "pictures",
    "papercut-clip",
    "objects recognised by the CLIP, %",
    "papercut-fd",
    "95 % interval",
    "objects recognised by the second judge, %",
)


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=200, help="number of scenes")
    parser.add_argument("--runs", type=Path, help="folder of runs whose images are judged as well")
    parser.add_argument("--output", type=Path, default=FILE)
    arguments = parser.parse_args()
    told = table(arguments.limit, expand([arguments.runs]) if arguments.runs else [])
    print(told)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(told + "\n", encoding="utf-8")


def table(limit: int, runs: Sequence[Run] = ()) -> str:
    """The Markdown table, of the first `limit` scenes, damaged or inpainted in runs."""
    dataset = load_dataset("papercut", split="inside")
    samples = [dataset[index] for index in range(min(limit, len(dataset)))]
    judges, scenes = Judges(samples), Batch.of(samples)
    rows = [[name, *judges.cells(damage(scenes))] for name, damage in DAMAGES.items()]
    for run in runs:
        entries = run.ledger()
        images = torch.stack([read_image(run.image_path(entries[sample.id])) for sample in samples])
        rows.append([run.record.identity.method.name, *judges.cells(images)])
    return str(tabulate(rows, HEADINGS, tablefmt="pipe", disable_numparse=True))


@final
class Judges:
    """Both judges, with the undamaged scenes."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._scenes = Batch.of(samples)
        self._told = torch.tensor([KINDS["object"].index(sample.tags["object"]) for sample in samples])
        self._cosine = load_metric("papercut-clip")
        self._recognition = Recognition(SHIPPED, samples)
        self._judge = PaperCutFD()
        self._references = self._features(self._scenes.images)

    def cells(self, images: Images) -> list[str]:
        """The row of some pictures."""
        weighted = Frechet(self._references, self._features(images))
        every = np.ones(len(images))
        value = weighted(every, every)
        draws = [weighted(row, row) for block in resampled(len(images), SEED, DRAWS) for row in block]
        low, high = bootstrap_interval(value, np.array(draws))
        seen = self._judge.labels(images)[:, : len(KINDS["object"])].argmax(dim=1)
        return [
            f"{float(self._cosine(self._scenes, images).mean()):.1f}",
            _percent(self._recognition.right(images)["object"]),
            f"{abs(value):.2f}",
            f"[{max(low, 0):.2f}, {abs(high):.2f}]",
            _percent(seen == self._told),
        ]

    def _features(self, images: Images) -> Float64[np.ndarray, "n d"]:
        found: Float64[np.ndarray, "n d"] = self._judge.features(self._scenes, images).double().numpy()
        return found


def _percent(right: Bool[Tensor, " n"]) -> str:
    return f"{100 * float(right.double().mean()):.1f}"


def _each(change: Callable[[Image.Image], Image.Image]) -> Callable[[Batch], Images]:
    """Change every picture alone."""

    def changed(scenes: Batch) -> Images:
        pictures = [change(to_picture(image)) for image in scenes.images]
        return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2)

    return changed


def _blurred(sigma: float) -> Callable[[Batch], Images]:
    return _each(lambda picture: picture.filter(ImageFilter.GaussianBlur(sigma)))


def _stored(quality: int) -> Callable[[Batch], Images]:
    def stored(picture: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return _each(stored)


def _noisy(scenes: Batch) -> Images:
    noise = 25 * torch.randn(scenes.images.shape, generator=torch.Generator().manual_seed(SEED))
    return (scenes.images + noise).round().clamp(0, 255).to(torch.uint8)


DAMAGES: dict[str, Callable[[Batch], Images]] = {
    "the scenes themselves": lambda scenes: scenes.images,
    "blurred, sigma 1": _blurred(1),
    "blurred, sigma 2": _blurred(2),
    "noise of 25 levels": _noisy,
    "JPEG, quality 10": _stored(10),
    "grey hole": lambda scenes: scenes.images.masked_fill(scenes.masks, GREY),
    "upside down": lambda scenes: scenes.images.flip(2),
}
"""What is done to all pixels, except for the grey hole, which covers the mask of `inside`."""


if __name__ == "__main__":
    main()
