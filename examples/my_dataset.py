"""A data set in a single file, explained in docs/add_a_dataset.md."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from brushbench import DatasetInfo, Sample, UserError


class Boxes:
    """Pictures with a table of captions and boxes; each picture's box is its mask."""

    info = DatasetInfo(
        splits=("inside", "outside"),
        metrics=("psnr@painted", "ssim@whole"),
        licence="Apache-2.0",
        citation="docs/add_a_dataset.md",
    )

    @dataclass(frozen=True)
    class Options:
        """Options of the data set, set with `--data-option margin=4`."""

        margin: int = 0
        """Pixels by which boxes are extended on every side."""

    def __init__(self, root: Path, split: str, options: Options) -> None:
        self.root, self.split, self.options = root, split, options
        with (root / "boxes.csv").open(encoding="utf-8", newline="") as file:
            self.rows = list(csv.DictReader(file))
        self.ids = [Path(row["file"]).stem for row in self.rows]

    @classmethod
    def open(cls, root: Path | None, split: str, options: Options) -> "Boxes":
        """Open a split; `root` is the folder given with `--root`, or None."""
        if root is None or not (root / "boxes.csv").is_file():
            raise UserError("data set 'Boxes' needs a folder with boxes.csv; pass --root DIR")
        return cls(root, split, options)

    def __getitem__(self, index: int) -> Sample:
        """The sample at an index; its picture is decoded only now."""
        row, margin = self.rows[index], self.options.margin
        with Image.open(self.root / row["file"]) as picture:
            image = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
        left, top, right, bottom = (int(row[edge]) for edge in ("left", "top", "right", "bottom"))
        box = torch.zeros(1, *image.shape[1:], dtype=torch.bool)
        box[:, max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = True
        mask = box if self.split == "inside" else ~box
        return Sample(self.ids[index], image, mask, row["caption"], {"subject": row["subject"]})

    def tags(self) -> dict[str, dict[str, str]]:
        """The tags of every sample, which reports can group by, without decoding any picture."""
        return {name: {"subject": row["subject"]} for name, row in zip(self.ids, self.rows, strict=True)}

    def digest(self) -> str:
        """A digest of everything that samples consist of, so that a run is never resumed on other data."""
        total = hashlib.sha256(f"{self.split} {self.options}".encode())
        for name in ("boxes.csv", *(row["file"] for row in self.rows)):
            total.update(hashlib.sha256((self.root / name).read_bytes()).digest())
        return total.hexdigest()
