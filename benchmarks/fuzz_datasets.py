"""Mutated mapping files, captions files and images against the readers: only the suite's own error may come out.

    python benchmarks/fuzz_datasets.py --count 1000000            # the whole of it
    python benchmarks/fuzz_datasets.py --count 1 --seed 4711       # one case again

Case k of a run has the seed `--seed` + k and depends on nothing else. Files are written to `--folder`, one that is in
memory if there is one. Exit code 1, and a line for each kind of exception with the first seed, if any other came out.
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
    """A folder with two sound data sets."""

    KINDS: ClassVar = {"mapping": 45, "image": 45, "captions": 10}

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._bench, self._folder = folder / "bench", folder / "folder"
        for name in ("bench/images", "folder/images", "folder/masks"):
            (folder / name).mkdir(parents=True)
            for stem, content in zip("ab", PICTURES, strict=False):
                (folder / name / f"{stem}.png").write_bytes(content)

    def mend(self) -> None:
        """A file of captions goes: another one is another layout."""
        for name in CAPTIONS:
            (self._folder / name).unlink(missing_ok=True)

    def _mapping(self, draw: random.Random) -> None:
        file = self._bench / "mapping_file.json"
        file.write_bytes(mapping(draw))
        # Strokes take longest, and a mapping file has no say in them.
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
    """What a run asks of a data set; a sample that is refused doesn't keep the next from being read."""
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
