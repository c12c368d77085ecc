"""How figures look, and what they show: width, font and title, and the metrics, splits and names of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import matplotlib
import pandas as pd
from matplotlib.ft2font import FT2Font

from brushbench.core.errors import UserError
from brushbench.core.lengths import INCH, points_of
from brushbench.core.metric_info import MetricInfo
from brushbench.imaging.fonts import OWN
from brushbench.reports.figures import PLACES, SUPERSCRIPT, readable
from brushbench.reports.footnotes import seeds_note
from brushbench.reports.layout import Column
from brushbench.reports.look import look_of
from brushbench.reports.renaming import with_names
from brushbench.reports.seeds import is_over_seeds
from brushbench.reports.style import Style, chosen, separated
from brushbench.reports.summary import GROUP, summarise
from brushbench.runs.folder import Run

FontName = Literal["sans", "serif"]
TEXT = 8.0
"""Size of all text, in points, in a figure of such a width."""
SPARE = 1.05
"""How much wider than by its letters a text may be drawn."""
SERIF = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "STIXGeneral.ttf"
"""The font, like Times, that comes with matplotlib."""
FONT_NAMES: dict[FontName, str] = {"sans": "DejaVu Sans", "serif": "STIXGeneral"}


@dataclass(frozen=True, slots=True)
class FigureStyle:
    """What was wished for; whatever is empty is as usual."""

    width: str = ""
    """As in `Style`."""
    font: FontName = "sans"
    has_title: bool = True
    metrics: tuple[str, ...] = ()
    """Metrics to draw, in this order; each may be several, separated by commas."""
    table: Style = field(default_factory=Style)
    """Style of the table beside it: its rows, their names and order, and the splits."""

    @property
    def inches(self) -> float | None:
        """Return the width of the figure; None if it has as many panels side by side as it likes."""
        return points_of(self.width) / INCH if self.width else None

    @property
    def size(self) -> float:
        """Return the size of labels, in points."""
        return TEXT if self.width else 7.0

    @property
    def small(self) -> float:
        """Return the size of the smallest text, in points."""
        return TEXT if self.width else 6.0

    def settings(self) -> dict[str, object]:
        """Return what differs from the suite's style of figures."""
        sizes = (
            "font.size",
            "axes.titlesize",
            "axes.labelsize",
            "legend.fontsize",
            "xtick.labelsize",
            "ytick.labelsize",
        )
        own: dict[str, object] = dict.fromkeys(sizes, TEXT) if self.width else {}
        return own | {"font.family": FONT_NAMES[self.font]}

    def text(self, name: str, most: float = float("inf"), limit: int = 40) -> str:
        """Return a name as the figure's font can show it, cut to so many inches."""
        font = str(self._file())
        found = readable(name, limit, font)
        while limit > 4 and self.across(found) > most:
            limit = min(limit, len(found)) - 1
            found = readable(name, limit, font)
        return found

    def across(self, text: str, size: float | None = None) -> float:
        """Return the width of a text in inches, at most: renderers differ by a few hundredths."""
        return SPARE * _advance(text.replace(r"\$", "$"), str(self._file())) * (size or self.size) / 72

    def label(self, info: MetricInfo, names: Mapping[str, str]) -> tuple[str, str]:
        """Return a metric's name with unit, scale and an arrow to better values; and where it is scored."""
        name = names.get(info.name) or Column("", "", info).name
        scale = SUPERSCRIPT.get(info.scale, f"×{info.scale:g}") if info.scale != 1 else ""
        unit = f"({info.unit})" if info.unit else ""
        told = " ".join(filter(None, [name, scale, unit, "↑" if info.higher_is_better else "↓"]))
        return self.text(told, limit=60), PLACES.get(info.name.partition("@")[2] or info.region, "")

    def _file(self) -> Path:
        return SERIF if self.font == "serif" else OWN


@dataclass(frozen=True, slots=True)
class Shown:
    """What a figure shows: the scores under the names of the table, in its order."""

    tidy: pd.DataFrame
    metrics: dict[str, MetricInfo]
    names: Mapping[str, str]
    """Names of metrics, splits and data sets that are not their own."""
    seeds: str = ""
    """How many seeds the rows are the mean over; empty if none has several."""

    def groups(self) -> list[tuple[tuple[str, str, str], pd.DataFrame]]:
        """Return data set, split and protocol of each group of rows, with the rows."""
        found = self.tidy.groupby(GROUP, sort=False, observed=True)
        return [((str(a), str(b), str(c)), rows) for (a, b, c), rows in found]


def shown_of(runs: Sequence[Run], style: FigureStyle) -> Shown:
    """Return what a figure of these runs shows. Raises `UserError` for names that do not occur, and without scores."""
    over_seeds = is_over_seeds(style.table.seeds)
    summary = summarise(runs, "", style.table.rows, style.table.splits, over_seeds=over_seeds)
    look = look_of(summary, style.table)
    metrics = {
        name: info
        for name, info in summary.metrics.items()
        if info.scope == "image" and name in set(summary.tidy["metric"])
    }
    wanted = chosen("metric", style.metrics, list(metrics)) or list(metrics)
    summary = with_names(summary, look.names)
    order = {method: place for place, method in enumerate(dict.fromkeys(look.ordered(summary.rows)["method"]))}
    splits = separated(style.table.splits) or ["inside", "outside"]
    tidy = summary.tidy[summary.tidy["metric"].isin(wanted)]
    rank = tidy["split"].astype(object).map({split: place for place, split in enumerate(splits)}).fillna(len(splits))
    method = tidy["method"].astype(object).map(order)
    tidy = tidy.assign(_split=rank, _method=method).sort_values(["_split", "_method"], kind="stable")
    if tidy.empty:
        raise UserError("none of these metrics is scored in these runs")
    infos = {name: metrics[name] for name in wanted}
    return Shown(tidy, infos, look.names.texts, seeds_note(summary.rows))


def titles_of(shown: Shown, style: FigureStyle) -> list[str]:
    """Return the title of each group: in full or, at the width of a paper or without titles, what tells it apart."""
    groups = [key for key, _ in shown.groups()]
    called = [(shown.names.get(a, a), f"split {shown.names.get(b, b)}", f"protocol {c}") for a, b, c in groups]
    if style.has_title and not style.width:
        return [style.text(", ".join(parts), limit=80) for parts in called]
    differ = [place for place in range(3) if len({parts[place] for parts in called}) > 1]
    if style.has_title and not differ:
        differ = [0, 1]
    return [
        style.text(", ".join(parts[place].removeprefix("split ") for place in differ), limit=80) for parts in called
    ]


@cache
def _advance(text: str, font: str) -> float:
    """Return the width of a text of one point."""
    face = FT2Font(font)
    face.set_size(100, 72)
    face.set_text(text)
    return float(face.get_width_height()[0]) / 64 / 100
