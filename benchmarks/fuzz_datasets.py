"""Mutated mapping files, captions files and images against the readers: only the suite's own error may come out.

    python benchmarks/fuzz_datasets.py --count 1000000            # the whole of it
    python benchmarks/fuzz_datasets.py --count 1 --seed 4711       # one case again

Case k of a run has the seed `--seed` + k and depends on nothing else. Files are written to `--folder`, one that is in
memory if there is one. Exit code 1, and a line for each kind of exception with the first seed, if any other came out.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import torch
from mutations import CAPTIONS, PICTURES, captions, mapping, picture

from brushbench.datasets.brushbench import BrushBench
from brushbench.datasets.folder import Folder
from brushbench.errors import UserError
from brushbench.images import image_size, read_image, read_mask
from brushbench.notes import hearing
from brushbench.types import Dataset

MEMORY = Path("/dev/shm")
SECONDS_BETWEEN_LINES = 60
SPLITS = ("inside", "outside", "brush")


class Fuzz:
    """A folder with two sound data sets, of which every case damages one file."""

    def __init__(self, folder: Path) -> None:
        self.outcomes: Counter[str] = Counter()
        self.escaped: dict[str, tuple[int, str]] = {}
        self._bench, self._folder = folder / "bench", folder / "folder"
        for name in ("bench/images", "folder/images", "folder/masks"):
            (folder / name).mkdir(parents=True)
            for stem, content in zip("ab", PICTURES, strict=False):
                (folder / name / f"{stem}.png").write_bytes(content)

    def __call__(self, seed: int) -> None:
        """One case. What it comes to is counted."""
        draw = random.Random(seed)
        kind = draw.choices(("mapping", "image", "captions"), weights=(45, 45, 10))[0]
        try:
            # What Pillow finds odd in a picture that it reads is a note of a run, and no error.
            with hearing():
                getattr(self, f"_{kind}")(draw)
        except UserError as error:
            self._checked(seed, kind, str(error))
        # Everything: that is what is looked for.
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self._note(seed, f"{kind}: {type(error).__name__}: {str(error)[:80]}", traceback.format_exc())
        else:
            self.outcomes[f"{kind}: read"] += 1

    def _checked(self, seed: int, kind: str, message: str) -> None:
        if message.isprintable() and 0 < len(message) <= 600:
            self.outcomes[f"{kind}: refused"] += 1
        else:
            self._note(seed, f"{kind}: a message that isn't one printable line", repr(message))

    def _note(self, seed: int, what: str, details: str) -> None:
        self.outcomes[f"ESCAPED {what}"] += 1
        if what not in self.escaped:
            self.escaped[what] = (seed, details)
            print(f"--seed {seed}: {what}", flush=True)

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
        try:
            _read(Folder.open(self._folder, draw.choice(SPLITS[:2])), everything=draw.random() < 0.1)
        finally:
            file.unlink()

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


def run(count: int, seed: int, folder: Path, seconds: float = SECONDS_BETWEEN_LINES) -> Fuzz:
    """So many cases; every now and then a line of how it goes."""
    fuzz = Fuzz(folder)
    start = told = time.monotonic()
    for case in range(count):
        fuzz(seed + case)
        if time.monotonic() - told > seconds:
            told = time.monotonic()
            print(f"{case + 1} cases, {(case + 1) / (told - start):.0f}/s, {len(fuzz.escaped)} escaped", flush=True)
    rate = count / max(time.monotonic() - start, 1e-9)
    print(f"{count} cases from seed {seed}, {rate:.0f} cases/s")
    for outcome, number in sorted(fuzz.outcomes.items()):
        print(f"{number:>9}  {outcome}")
    for what, (first, details) in fuzz.escaped.items():
        print(f"\n--seed {first}: {what}\n{details}")
    return fuzz


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=MEMORY if MEMORY.is_dir() else None)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        fuzz = run(asked.count, asked.seed, Path(folder))
    sys.exit(1 if fuzz.escaped else 0)


if __name__ == "__main__":
    main()
