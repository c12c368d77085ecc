"""Read the published numbers; without pandas, so that they can be listed at once."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from brushbench.core.columns import columns
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_text

OWN = tuple(Path(__file__).parent / name for name in ("results.csv", "ablations.csv"))
"""The tables of BrushNet's authors and those that reprint them: what measured numbers are held against."""
FILES = (*OWN, Path(__file__).parent / "other_papers.csv")
"""Also other papers' own numbers, on their own set-ups."""
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
OTHER_METRICS = {
    "HPSv3": "HPSv3, unscaled",
    "GPT-4": "a judgement by GPT-4, 0 to 100",
    "VQA": "a visual question answering score, x100",
    "localCLIP": "CLIP similarity around the mask",
    "InpaintReward": "FreeInpaint's reward",
    "LPIPS-box": "LPIPS in the mask's bounding box, x1e3",
    "Q-Align": "of the whole image",
    "Q-Align-mask": "of the painted region",
    "CLIPIQA-mask": "CLIP-IQA+ of the painted region",
    "seconds": "of one image",
    "GB": "of GPU memory",
}
"""Metrics of other papers, which the suite hasn't."""
BENCHMARKS = {"brushbench": "BrushBench", "editbench": "EditBench"}
"""The suite's names of data sets, and the papers'."""
SAMPLES = {"BrushBench": 600, "EditBench": 240}
CONFIDENCE = {
    "A": "read in the full text of two papers",
    "P": "read in the full text of one paper",
    "B": "read in one copy by others",
    "C": "derived from other published numbers",
}
SEPARATOR = "; "
"""Between two sources of one number."""
PublishedRow = tuple[str, str, str, str, str]
"""Benchmark, split, method, blend and set-up."""


@dataclass(frozen=True, slots=True)
class Published:
    """One number of one table."""

    benchmark: str
    split: str
    """`mean(inside,outside)` for ablations, `all` for EditBench; `not said` where a paper doesn't say."""
    method: str
    """The papers' abbreviation; of ablations, the variant."""
    blend: str
    """`none`, `paste` or `blur`; empty for ablations, whose variants say it, and where a paper doesn't say."""
    metric: str
    """A key of `METRICS` or `OTHER_METRICS`."""
    value: float
    """As printed, scaled."""
    confidence: str
    """A, P, B or C."""
    source: str
    """Paper and table; two with `SEPARATOR` between."""
    note: str
    setup: str = ""
    """With what another paper measured it; empty for the authors' own."""

    @property
    def row(self) -> PublishedRow:
        """The row of the table that it stands in."""
        return self.benchmark, self.split, self.method, self.blend, self.setup

    @property
    def sources(self) -> list[str]:
        """Each of them; for a derived number, what it is derived from."""
        return self.source.split(SEPARATOR)

    @property
    def called(self) -> str:
        """The method, with its blending."""
        return f"{self.method}, blend {self.blend}" if self.blend not in ("", "none") else self.method


def read(files: Sequence[Path] = FILES) -> tuple[Published, ...]:
    """In the files' order. Raises `UserError` for a file that can't be read, or a line that says no number."""
    return tuple(number for file in files for number in _numbers(file))


def published_table(files: Sequence[Path] = FILES) -> list[str]:
    """A table of all numbers, its heading first."""
    heading = "benchmark", "split", "method", "blend", "metric", "value", "confidence", "source", "set-up", "note"
    cells: list[tuple[str, ...]] = [
        tuple(
            one_line(cell)
            for cell in (
                *number.row[:4],
                number.metric,
                f"{number.value:.2f}",
                number.confidence,
                number.source,
                number.setup,
                number.note,
            )
        )
        for number in read(files)
    ]
    return columns([heading, *cells])


def _numbers(file: Path) -> Iterator[Published]:
    try:
        rows = list(csv.DictReader(read_text(file).splitlines()))
    except csv.Error as error:
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
                setup=row.get("setup") or "",
            )
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(one_line(f"{file}: line {number} is no published number ({error!r})")) from error
