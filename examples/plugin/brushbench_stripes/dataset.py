"""A data set that is drawn by code, so that nothing has to be downloaded."""

from dataclasses import dataclass
from pathlib import Path

import torch

from brushbench import DatasetInfo, Sample, UserError


class Stripes:
    """Slanted stripes, wide in every second picture, with a disc in the middle as the mask."""

    info = DatasetInfo(
        splits=("inside", "outside"),
        metrics=("psnr", "colour-shift"),
        licence="Apache-2.0",
        citation="an example",
    )

    @dataclass(frozen=True)
    class Options:
        """Options of the data set, set with `--data-option count=8`."""

        count: int = 6
        size: int = 64

    def __init__(self, split: str, options: Options) -> None:
        self.split = split
        self.options = options
        self.ids = tuple(f"stripes-{index:03d}" for index in range(options.count))

    @classmethod
    def open(cls, root: Path | None, split: str, options: Options) -> "Stripes":
        """Open a split; `root` is the folder given with `--root`, where a data set of files would look for them."""
        if root is not None:
            raise UserError("data set 'stripes' is drawn and takes no --root")
        return cls(split, options)

    def __getitem__(self, index: int) -> Sample:
        """The sample at an index; its picture is drawn only now."""
        side, width = self.options.size, 4 + 4 * (index % 2)
        down, across = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        shade = ((down + (index + 1) * across) // width % 2 * 180 + 40).to(torch.uint8)
        image = torch.stack([shade, shade.flip(0), shade // 2])
        disc = ((down - side / 2) ** 2 + (across - side / 2) ** 2 < (side / 3) ** 2)[None]
        mask = disc if self.split == "inside" else ~disc
        tags = {"stripes": "wide" if index % 2 else "narrow"}
        return Sample(self.ids[index], image, mask, f"slanted stripes, picture number {index}", tags)
