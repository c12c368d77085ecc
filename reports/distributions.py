"""Draw how the scores of each method are distributed: a box for every method, a panel for every metric."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from brushbench.core.errors import UserError
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.axis_range import Axis, axis_of
from brushbench.reports.counting import counted, is_capped
from brushbench.reports.figure_style import FigureStyle, Shown, shown_of, titles_of
from brushbench.reports.figures import mark_of, write_figure
from brushbench.reports.mean_error import is_derived
from brushbench.reports.seeds import SEED
from brushbench.reports.style import separated
from brushbench.runs.folder import Run

ACROSS = 3
"""Number of panels in a row of a figure without a set width."""
PANEL, NARROWEST, GAP, ROW, HEADING = 2.0, 1.05, 0.2, 0.17, 0.3
"""In inches: width of a panel, least of one, gap between panels, and heights of a method and a title."""
LABEL, LARGE_LABEL = 0.55, 0.68
"""In inches: height of an axis label of two lines, of 7 and of 8 points."""
MOST_LEFT = 0.4
"""Most of a figure's width for the names of the methods."""
LARGEST = 100
"""Largest height in inches; a higher PNG file would have more rows than the renderer can draw."""


@dataclass(frozen=True, slots=True)
class _Group:
    title: str
    rows: pd.DataFrame
    methods: list[str]
    metrics: list[MetricInfo]

    def height(self, across: int, label: float) -> float:
        """Return the height in inches, with so many panels in a row and such a height of a label."""
        down = -(-len(self.metrics) // across)
        return self.heading + down * (ROW * (len(self.methods) + 0.5) + label)

    @property
    def heading(self) -> float:
        """Return the height of the title in inches."""
        return HEADING if self.title else 0.08


@dataclass(frozen=True, slots=True)
class _Page:
    """Measures of the whole figure, in inches."""

    left: float
    across: int
    panel: float
    label: float = LABEL

    @property
    def width(self) -> float:
        return self.left + self.across * (self.panel + GAP)


def write_distributions(runs: Sequence[Run], file: Path, style: FigureStyle | None = None) -> None:
    """Draw the middle half of the scores as a box, with a line at the median and whiskers from 5 to 95 %.

    Each data set, split and protocol has a block of panels. A method with several seeds has one box, of all its scores.
    Where outliers would flatten the boxes, an axis is
    logarithmic or clipped, and says so. Raises `UserError` if none of the runs is scored, and for a file that
    `brushbench.reports.figures.write_figure` cannot write.
    """
    style = _of_columns(style or FigureStyle())
    shown = shown_of(runs, style)
    groups = [
        _group(title, rows, shown) for title, (_, rows) in zip(titles_of(shown, style), shown.groups(), strict=True)
    ]
    page = _page(groups, style)
    if sum(group.height(page.across, page.label) for group in groups) > LARGEST:
        raise UserError(f"{len(groups)} groups of runs are too many for one figure; give fewer runs")
    write_figure(file, lambda: _figure(groups, shown, page, style), style.settings())


def _of_columns(style: FigureStyle) -> FigureStyle:
    """Draw the metrics of the table's columns, unless others are chosen."""
    columns = [name.rpartition("/")[2] for name in separated(style.table.columns)]
    return replace(style, metrics=style.metrics or tuple(name for name in columns if not is_derived(name)))


def _group(title: str, rows: pd.DataFrame, shown: Shown) -> _Group:
    present = set(rows["metric"])
    samples = rows.groupby("method", observed=True)["sample"].nunique().max()
    seeds = rows.groupby("method", observed=True)[SEED].nunique().max()
    told = f"{samples} samples{f' x {seeds} seeds' if seeds > 1 else ''}"
    return _Group(
        f"{title}, {told}" if title else "",
        rows,
        list(dict.fromkeys(rows["method"])),
        [info for name, info in shown.metrics.items() if name in present],
    )


def _page(groups: Sequence[_Group], style: FigureStyle) -> _Page:
    names = [style.across(style.text(method)) for group in groups for method in group.methods]
    panels = max(len(group.metrics) for group in groups)
    left = 0.25 + max(names)
    if style.inches is None:
        return _Page(left, min(ACROSS, panels), PANEL)
    left = min(left, MOST_LEFT * style.inches)
    across = max(1, min(panels, int((style.inches - left) / (NARROWEST + GAP))))
    return _Page(left, across, (style.inches - left) / across - GAP, LARGE_LABEL)


def _figure(groups: Sequence[_Group], shown: Shown, page: _Page, style: FigureStyle) -> Figure:
    height = sum(group.height(page.across, page.label) for group in groups)
    figure = Figure(figsize=(page.width, height))
    top = 0.0
    for group in groups:
        figure.text(
            0.5, 1 - (top + 0.1) / height, group.title, ha="center", va="top", fontsize=style.size if style.width else 9
        )
        panel = ROW * (len(group.methods) + 0.5)
        for place, info in enumerate(group.metrics):
            row, column = divmod(place, page.across)
            bottom = top + group.heading + row * (panel + page.label) + panel
            corner = ((page.left + column * (page.panel + GAP)) / page.width, 1 - bottom / height)
            axis = figure.add_axes((*corner, page.panel / page.width, panel / height))
            names = [] if column else [style.text(method, page.left - 0.2) for method in group.methods]
            _panel(axis, group, info, style)
            _labels(axis, info, names or [""] * len(group.methods), shown, style)
        top += group.height(page.across, page.label)
    return figure


def _panel(axis: Axes, group: _Group, info: MetricInfo, style: FigureStyle) -> None:
    rows = group.rows[group.rows["metric"] == info.name]
    each = [_counted(rows[rows["method"] == method], info) for method in group.methods]
    known = [values for values, _ in each if len(values)]
    whiskers = [(float(values.quantile(0.05)), float(values.quantile(0.95))) for values in known]
    # Decibels are logarithms already.
    may_be_log = info.unit != "dB"
    view = axis_of(whiskers, list(pd.concat(known)), may_be_log=may_be_log) if known else Axis("linear")
    for place, (values, capped) in enumerate(each):
        if len(values):
            _box(axis, values, place)
        for side, text in _beyond(values, capped, info, view):
            axis.text(
                float(side == "right"), place, text, va="center", ha=side, color=mark_of(place)[0], zorder=4,
                fontsize=style.small, transform=axis.get_yaxis_transform(),
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5},
            )  # fmt: skip
    axis.set_ylim(len(group.methods) - 0.4, -0.6)
    axis.use_sticky_edges = False
    axis.margins(x=0.05)
    _scale(axis, view, style)
    axis.grid(axis="x", linewidth=0.3, color="0.85")
    axis.set_axisbelow(True)


def _scale(axis: Axes, view: Axis, style: FigureStyle) -> None:
    if view.kind == "log":
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(numticks=4 if style.width else 6))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        return
    if view.kind == "clipped":
        axis.set_xlim(view.low, view.high)
    axis.locator_params(axis="x", nbins=3 if style.width else 5)


def _labels(axis: Axes, info: MetricInfo, names: Sequence[str], shown: Shown, style: FigureStyle) -> None:
    axis.set_yticks(range(len(names)), names)
    told, where = style.label(info, shown.names)
    is_log = " (log)" if axis.get_xscale() == "log" else ""
    axis.set_xlabel(f"{told}{is_log}\n{where}", fontsize=style.size)


def _counted(rows: pd.DataFrame, info: MetricInfo) -> tuple[pd.Series, int]:
    """Return the scores as they count, scaled, and how many of them count as the metric's ceiling."""
    values, statuses = rows["value"].to_numpy(np.float64, na_value=np.nan), rows["status"].to_numpy(str)
    protocol = str(rows["protocol"].iloc[0]) if len(rows) else ""
    capped = int(is_capped(values, statuses, info, protocol).sum())
    return pd.Series(counted(values, statuses, info, protocol)).dropna() * info.scale, capped


def _box(axis: Axes, values: pd.Series, place: int) -> None:
    colour = mark_of(place)[0]
    low, lower, middle, upper, high = values.quantile([0.05, 0.25, 0.5, 0.75, 0.95])
    axis.hlines(place, low, high, colors=colour, linewidth=0.8)
    axis.barh(place, upper - lower, 0.6, left=lower, facecolor="white", edgecolor="none")
    axis.barh(place, upper - lower, 0.6, left=lower, facecolor=f"{colour}59", edgecolor=colour, linewidth=0.8)
    axis.vlines(middle, place - 0.3, place + 0.3, colors=colour, linewidth=1.6)
    beyond = values[(values < low) | (values > high)]
    axis.plot(beyond, [place] * len(beyond), ".", markersize=2, color=colour)


def _beyond(values: pd.Series, capped: int, info: MetricInfo, view: Axis) -> list[tuple[str, str]]:
    """Return what to say at the left and at the right: how many scores are beyond a clipped axis, or at the ceiling."""
    left, right = values.iloc[:0], values.iloc[:0]
    if view.kind == "clipped":
        left, right = values[values < view.low], values[values > view.high]
    ceiling = f"{capped} at ≥ {(info.ceiling or 0) * info.scale:g}"
    if capped and len(right) in (0, capped):
        at_right = f"{ceiling} ▸" if len(right) else ceiling
    else:
        at_right = f"{len(right)} to {right.max():.3g} ▸" if len(right) else ""
    at_left = f"◂ {len(left)} to {left.min():.3g}" if len(left) else ""
    return [(side, text) for side, text in (("left", at_left), ("right", at_right)) if text]
