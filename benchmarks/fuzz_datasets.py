"""Read mutated mapping files, captions files and images: the readers may raise only the suite's own error.

    python benchmarks/fuzz_datasets.py --count 1000000            # the full number of cases
    python benchmarks/fuzz_datasets.py --count 1 --seed 4711       # repeat one case

Case k of a run has the seed `--seed` + k and depends on nothing else. Files are written to `--folder`, by default a
folder in memory if the machine has one. If any other exception is raised, each kind is printed with its first seed, and
the exit code is 1.
"""

import random
from pathlib import Path
from typing import ClassVar

import fuzzing
import torch
from mutations import CAPTIONS, PICTURES, captions, mapping, picture

from brushbench.core.errors import UserError
from brushbench.core.types import Dataset
from brushbench.datasets.brushbench import BrushBench
from brushbench.datasets.folder import Folder
from brushbench.imaging.images import image_size, read_image, read_mask

SPLITS = ("inside", "outside", "brush")


class Fuzz(fuzzing.Fuzz):
    """A folder with two intact data sets, one of whose files each case damages."""

    KINDS: ClassVar = {"mapping": 45, "image": 45, "captions": 10}

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._bench, self._folder = folder / "bench", folder / "folder"
        for name in ("bench/images", "folder/images", "folder/masks"):
            (folder / name).mkdir(parents=True)
            for stem, content in zip("ab", PICTURES, strict=False):
                (folder / name / f"{stem}.png").write_bytes(content)

    def mend(self) -> None:
        """Remove the captions file, as the next case may use another layout."""
        for name in CAPTIONS:
            (self._folder / name).unlink(missing_ok=True)

    def _mapping(self, draw: random.Random) -> None:
        file = self._bench / "mapping_file.json"
        file.write_bytes(mapping(draw))
        # Strokes take longest, and don't depend on the mapping file.
        split = draw.choices(SPLITS, weights=(10, 10, 1))[0]
        _read(BrushBench.open(self._bench, split), everything=draw.random() < 0.1)

    def _captions(self, draw: random.Random) -> None:
        name = draw.choice(tuple(CAPTIONS))
        file = self._folder / name
        file.write_bytes(captions(draw, name))
        _read(Folder.open(self._folder, draw.choice(SPLITS[:2])), everything=draw.random() < 0.1)

    def _image(self, draw: random.Random) -> None:
        file = self._bench / "fuzzed.png"
        file.write_bytes(picture(draw))
        size = image_size(file)
        image = read_image(file)
        if tuple(image.shape[1:]) != size or image.dtype != torch.uint8:
            raise AssertionError(f"{tuple(image.shape)} after a header of {size}")
        if draw.random() < 0.3 and tuple(read_mask(file).shape) != (1, *size):
            raise AssertionError("a mask of another size")


def _read(dataset: Dataset, *, everything: bool) -> None:
    """Read a data set as a run does; after a refused sample, the next one is read all the same."""
    refusals = []
    for index in range(len(dataset.ids)):
        try:
            sample = dataset[index]
        except UserError as error:
            refusals.append(error)
        else:
            if not sample.mask.any():
                raise AssertionError("an empty mask")
    if everything:
        dataset.tags()
        dataset.digest()
    if refusals:
        raise refusals[0]


if __name__ == "__main__":
    fuzzing.main(Fuzz, __doc__)
