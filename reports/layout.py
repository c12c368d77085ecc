"""What a table is before it has a format: headings, rows of cells with marks, and what stands below it.

Nothing in here is escaped; every format does that in its own way.
"""

from dataclasses import dataclass
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
"""How the paper's columns, and names that would be hard to read, are printed; any other name stands in capitals."""
FEWER = "†"
"""Behind a number that is a mean over fewer samples than others of its column."""
BESIDE = "references and floors, not ranked"
"""What stands below the rule."""
AT_LEAST = "≥"
"""Before a ceiling that every sample of a mean counts as."""


@dataclass(frozen=True, slots=True)
class Column:
    """One metric on one split."""

    split: str
    group: str
    """The group of metrics over which a heading stands; may be empty."""
    info: MetricInfo

    @property
    def name(self) -> str:
        """As in the heading, without what follows it."""
        name = self.info.name.partition("@")[0]
        return NAMES.get(name, name.upper())

    @property
    def digits(self) -> int:
        """After the point."""
        return 2 if self.info.unit or self.info.scale != 1 or self.info.name.partition("@")[0] in NAMES else 4

    def printed(self, value: float) -> str:
        """A value of the metric, scaled as papers do; never a negative zero."""
        text = f"{value * self.info.scale:.{self.digits}f}"
        return text.removeprefix("-") if not float(text) else text

    def ceiling(self, value: float) -> str:
        """A value of which only the metric's ceiling is known: that the true one is no less."""
        return f"{AT_LEAST} {value * self.info.scale:g}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A number, or a dash."""

    text: str
    mark: Mark = ""
    remark: str = ""
    """What follows it, without the mark."""
    interval: str = ""
    """Before the remark: `± 0.40` or `[24.10, 42.90]`; may be empty."""
    fewer: bool = False
    """Whether it is a mean over fewer samples than others of its column."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One method, or what is published of it."""

    label: str
    cells: tuple[Cell, ...]
    """One per column."""
    kind: CellKind = "measured"


@dataclass(frozen=True, slots=True)
class Section:
    """Rows that are compared with each other; the title is empty when there is only one."""

    title: str
    rows: tuple[TableRow, ...]
    beside: tuple[TableRow, ...] = ()
    """References and floors, which stand below a rule and take no part in the comparison."""

    @property
    def groups(self) -> list[tuple[TableRow, ...]]:
        """Those that aren't empty, a rule between."""
        return [rows for rows in (self.rows, self.beside) if rows]


@dataclass(frozen=True, slots=True)
class Table:
    """The table of one data set under one protocol."""

    title: str
    columns: tuple[Column, ...]
    headings: tuple[str, ...]
    """One per column."""
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    """Below the table, each a sentence or two."""
    legend: tuple[tuple[Mark, str], ...] = ()
    """What the marks mean, of those that occur."""

    def levels(self) -> list[list[tuple[str, int]]]:
        """The lines of headings above the headings: splits, if there are several, and groups.

        Each heading is there with the number of columns that it stands over.
        """
        splits = [(column.split, column.split) for column in self.columns]
        groups = [(f"{column.split}/{column.group}", column.group) for column in self.columns]
        several = len(set(splits)) > 1
        return [
            [(title, len(list(same))) for (_, title), same in groupby(level)]
            for level in ([splits, groups] if several else [groups])
        ]


def heading(info: MetricInfo, name: str, *, place: bool) -> str:
    """Name, region if asked for, scale, unit, and an arrow to where it is better."""
    _, _, region = info.name.partition("@")
    scale = f"x{info.scale:g}".replace("1000", "1e3") if info.scale != 1 else ""
    arrow = "↑" if info.higher_is_better else "↓"
    return " ".join(filter(None, [name, (region or info.region) if place else "", scale, info.unit, arrow]))
