"""A table before it has a format: headings, rows of cells with marks, and the notes below.

Nothing here is escaped; every format does that in its own way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from brushbench.core.metric_info import MetricInfo

Mark = Literal["", "best", "second"]
CellKind = Literal["measured", "published", "difference"]
NAMES = {
    "image-reward": "IR",
    "hps": "HPS",
    "aesthetic": "AS",
    "clip": "CLIP Sim",
    "papercut-clip": "papercut-clip",
    "psnr-of-mean-mse": "PSNR of mean MSE",
}
"""Headings of the paper's columns, and of names that would be hard to read; any other name is printed in capitals."""
PAPER = {
    "image quality": ("image-reward", "hps", "aesthetic"),
    "masked-region preservation": ("psnr", "mse", "lpips"),
    "text alignment": ("clip", "papercut-clip"),
}
"""The metrics of the paper's tables, in its order; PaperCut's CLIP is listed under its own name."""
FEWER = "†"
"""Sign behind a mean over fewer samples than others in its column."""
BESIDE = "references and floors, not ranked"
"""Description of the rows below the rule."""
AT_LEAST = "≥"
"""Sign before a mean whose samples all count as the ceiling."""


@dataclass(frozen=True, slots=True)
class Column:
    """One metric on one split."""

    split: str
    group: str
    """Heading of the group of metrics that the column belongs to; may be empty."""
    info: MetricInfo
    called: str = ""
    """Name in the heading, if it is not the usual one."""
    decimals: int | None = None
    """Digits after the point, if they are not the usual ones."""

    @property
    def name(self) -> str:
        """Return the name in the heading, without region, scale and unit."""
        if self.called:
            return self.called
        name = self.info.name.partition("@")[0]
        return NAMES.get(name, name.upper())

    @property
    def digits(self) -> int:
        """Return the number of digits after the point."""
        if self.decimals is not None:
            return self.decimals
        return 2 if self.info.unit or self.info.scale != 1 or self.info.name.partition("@")[0] in NAMES else 4

    def printed(self, value: float) -> str:
        """Print a value of the metric, scaled as in papers; never a negative zero."""
        text = f"{value * self.info.scale:.{self.digits}f}"
        return text.removeprefix("-") if not float(text) else text

    def ceiling(self, value: float) -> str:
        """Print a value at the metric's ceiling, whose true value is no less."""
        return f"{AT_LEAST} {value * self.info.scale:g}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A number, or a dash."""

    text: str
    mark: Mark = ""
    remark: str = ""
    """Text after the number, which is not marked."""
    interval: str = ""
    """Interval before the remark: `± 0.40` or `[24.10, 42.90]`; may be empty."""
    fewer: bool = False
    """Whether the number is a mean over fewer samples than others in its column."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """The row of a method, or of its published numbers."""

    label: str
    cells: tuple[Cell, ...]
    """One cell per column."""
    kind: CellKind = "measured"


@dataclass(frozen=True, slots=True)
class Section:
    """Rows that are compared with each other; the title is empty when there is only one."""

    title: str
    rows: tuple[TableRow, ...]
    beside: tuple[TableRow, ...] = ()
    """References and floors, which are below a rule and take no part in the comparison."""

    @property
    def groups(self) -> list[tuple[TableRow, ...]]:
        """Return the groups that are not empty, which rules separate."""
        return [rows for rows in (self.rows, self.beside) if rows]


@dataclass(frozen=True, slots=True)
class Dress:
    """What only LaTeX has: sources of texts, keys, and the form of the table."""

    label: str = ""
    """Key for `\\label`."""
    latex: Mapping[str, str] = field(default_factory=dict)
    """LaTeX in the place of a text, or of its beginning up to a space."""
    cites: Mapping[str, str] = field(default_factory=dict)
    """Keys for `\\cite` by the label of a row."""
    is_narrow: bool = False
    """Whether the table is as wide as one column of a page that has two."""


@dataclass(frozen=True, slots=True)
class Table:
    """The table of one data set under one protocol."""

    title: str
    columns: tuple[Column, ...]
    headings: tuple[str, ...]
    """One heading per column."""
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    """Notes below the table, each a sentence or two."""
    legend: tuple[tuple[Mark, str], ...] = ()
    """Marks that occur, with their meanings."""
    place: str = ""
    """Data set, splits and protocol, which the title says unless there is a caption."""
    brief: str = ""
    """What one line of notes says beside the legend."""
    is_brief: bool = False
    """Whether legend and notes are printed as one line."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What splits and groups are called, if not by their names."""
    dress: Dress = Dress()

    def called(self, name: str) -> str:
        """Return what a split or group is called."""
        return self.names.get(name, name)

    def levels(self) -> list[list[tuple[str, int]]]:
        """Return the lines above the headings: splits, if there are several, and groups.

        Each title comes with the number of columns that it spans.
        """
        splits = [(column.split, self.called(column.split)) for column in self.columns]
        groups = [(f"{column.split}/{column.group}", self.called(column.group)) for column in self.columns]
        several = len(set(splits)) > 1
        return [
            [(title, len(list(same))) for (_, title), same in groupby(level)]
            for level in ([splits, groups] if several else [groups])
        ]


def scaled(scale: int | float) -> str:
    """Return what printed numbers are multiplied by, as a head says it: `x1e3`; empty for nothing."""
    return f"x{scale:g}".replace("1000", "1e3") if scale != 1 else ""


def heading(info: MetricInfo, name: str, *, place: bool) -> str:
    """Return name, region (if `place`), scale and unit, with an arrow towards better values."""
    _, _, region = info.name.partition("@")
    arrow = "↑" if info.higher_is_better else "↓"
    return " ".join(
        filter(None, [name, (region or info.region) if place else "", scaled(info.scale), info.unit, arrow])
    )
