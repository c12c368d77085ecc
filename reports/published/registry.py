"""Read the published numbers, without pandas, so that listing them is fast."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_text

OWN = tuple(Path(__file__).parent / name for name in ("results.csv", "ablations.csv"))
"""Tables of BrushNet's authors and of papers that reprint them, with which measured numbers are compared."""
FILES = (*OWN, Path(__file__).parent / "other_papers.csv")
"""All tables, also those that other papers measured with their own set-ups."""
METRICS = {
    "IR": "image-reward",
    "HPS": "hps",
    "AS": "aesthetic",
    "PSNR": "psnr",
    "MSE": "mse",
    "LPIPS": "lpips",
    "CLIP": "clip",
    "SSIM": "ssim",
}
"""The suite's name of each metric in the files, whose values are as printed: IR x10, HPS and SSIM x100, MSE and LPIPS
x1e3."""
OTHER_METRICS = {
    "HPSv3": "HPSv3, unscaled",
    "GPT-4": "a judgement by GPT-4, 0 to 100",
    "VQA": "a visual question answering score, x100",
    "localCLIP": "CLIP similarity around the mask",
    "InpaintReward": "FreeInpaint's reward",
    "LPIPS-box": "LPIPS in the mask's bounding box, x1e3",
    "Q-Align": "Q-Align of the whole image",
    "Q-Align-mask": "Q-Align of the painted region",
    "CLIPIQA-mask": "CLIP-IQA+ of the painted region",
    "seconds": "seconds per image",
    "GB": "GPU memory in GB",
}
"""Metrics of other papers, which the suite does not have."""
BENCHMARKS = {"brushbench": "BrushBench", "editbench": "EditBench"}
"""The papers' name of each data set."""
SAMPLES = {"BrushBench": 600, "EditBench": 240}
CONFIDENCE = {
    "A": "read in the full text of two papers",
    "P": "read in the full text of one paper",
    "B": "read in one third-party copy",
    "C": "derived from other published numbers",
    "U": "added by the user, with this source",
}
SEPARATOR = "; "
"""Separates two sources of one number."""
PublishedRow = tuple[str, str, str, str, str]
"""Benchmark, split, method, blend and set-up of a row."""


@dataclass(frozen=True, slots=True)
class Published:
    """One number of one table."""

    benchmark: str
    split: str
    """`mean(inside,outside)` for ablations, `all` for EditBench; `not said` if the paper doesn't say."""
    method: str
    """The papers' abbreviation; for ablations, the variant."""
    blend: str
    """`none`, `paste` or `blur`; empty for ablations, whose variants say it, and if the paper doesn't say."""
    metric: str
    """A key of `METRICS` or `OTHER_METRICS`."""
    value: float
    """The value as printed, scaled."""
    confidence: str
    """A key of `CONFIDENCE`."""
    source: str
    """Paper and table; two are separated by `SEPARATOR`."""
    note: str
    setup: str = ""
    """The set-up of another paper; empty for the authors' own numbers."""
    line: int = field(default=0, compare=False)
    """The line in its file."""

    @property
    def row(self) -> PublishedRow:
        """Return the row of the table that the number is in."""
        return self.benchmark, self.split, self.method, self.blend, self.setup

    @property
    def sources(self) -> list[str]:
        """Return all sources; for a derived number, those that it is derived from."""
        return self.source.split(SEPARATOR)

    @property
    def called(self) -> str:
        """Return the method with its blending."""
        return f"{self.method}, blend {self.blend}" if self.blend not in ("", "none") else self.method


def read(files: Sequence[Path] = FILES) -> tuple[Published, ...]:
    """Read the numbers in the files' order. Raises `UserError` for an unreadable file or a line without a number."""
    return tuple(number for file in files for number in _numbers(file))


def number_of(row: Mapping[str, str], line: int) -> Published:
    """Return the number in a row of a table. Raises `KeyError`, `ValueError` or `TypeError` for a row without one."""
    return Published(
        benchmark=row["benchmark"],
        split=row["split"],
        method=row["variant"] if "variant" in row else row["method"],
        blend=row.get("blend") or "",
        metric=row["metric"],
        value=float(row["value"]),
        confidence=row.get("confidence") or "U",
        source=row["source"],
        note=row.get("note") or "",
        setup=row.get("setup") or "",
        line=line,
    )


def _numbers(file: Path) -> Iterator[Published]:
    try:
        rows = list(csv.DictReader(read_text(file).splitlines()))
    except csv.Error as error:
        raise UserError(one_line(f"{file}: can't be read as CSV ({error})")) from error
    for number, row in enumerate(rows, start=2):
        try:
            yield number_of(row, number)
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(one_line(f"{file}: line {number} is not a published number ({error!r})")) from error
