"""Read the published numbers; without pandas, so that they can be listed at once."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from brushbench.errors import UserError, one_line

FILES = tuple(Path(__file__).parent / name for name in ("results.csv", "ablations.csv"))
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
"""Names in the files, and the suite's; values are as printed: IR x10, HPS x100, MSE and LPIPS x1e3, SSIM x100."""
SAMPLES = {"BrushBench": 600, "EditBench": 240}
CONFIDENCE = {
    "A": "read in the full text of two papers",
    "B": "read in one copy by others",
    "C": "derived from other published numbers",
}


@dataclass(frozen=True, slots=True)
class Published:
    """One number of one table."""

    benchmark: str
    split: str
    """Of the ablations `mean(inside,outside)`, of EditBench `all`."""
    method: str
    """The papers' abbreviation; of ablations, the variant."""
    blend: str
    """`none`, `paste` or `blur`; empty for ablations, whose variants say it."""
    metric: str
    """A key of `METRICS`."""
    value: float
    """As printed, scaled."""
    confidence: str
    """A, B or C."""
    source: str
    note: str

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Of the table that it stands in."""
        return self.benchmark, self.split, self.method, self.blend

    @property
    def called(self) -> str:
        """The method, with its blending."""
        return f"{self.method}, blend {self.blend}" if self.blend not in ("", "none") else self.method


def read(files: Sequence[Path] = FILES) -> tuple[Published, ...]:
    """In the files' order. Raises `UserError` for a file that can't be read, or a line that says no number."""
    return tuple(number for file in files for number in _numbers(file))


def lines(files: Sequence[Path] = FILES) -> list[str]:
    """A table of all numbers, its heading first."""
    heading = "benchmark", "split", "method", "blend", "metric", "value", "confidence", "source", "note"
    cells: list[tuple[str, ...]] = [
        tuple(
            one_line(cell)
            for cell in (
                *number.row,
                number.metric,
                f"{number.value:.2f}",
                number.confidence,
                number.source,
                number.note,
            )
        )
        for number in read(files)
    ]
    widths = [max(map(len, column)) for column in zip(heading, *cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heading, *cells)
    ]


def _numbers(file: Path) -> Iterator[Published]:
    try:
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(one_line(f"{file}: can't be read as CSV ({error})")) from error
    for number, row in enumerate(rows, start=2):
        try:
            yield Published(
                benchmark=row["benchmark"],
                split=row["split"],
                method=row["variant"] if "variant" in row else row["method"],
                blend=row.get("blend") or "",
                metric=row["metric"],
                value=float(row["value"]),
                confidence=row["confidence"],
                source=row["source"],
                note=row.get("note") or "",
            )
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(one_line(f"{file}: line {number} is no published number ({error!r})")) from error
