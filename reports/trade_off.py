"""Plot preservation against text alignment: known-region PSNR and CLIP, as a cloud of methods or as a curve."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brushbench.core.errors import UserError, one_line
from brushbench.core.lengths import is_one_column
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.counting import counted, is_capped
from brushbench.reports.figure_style import FigureStyle, Shown, shown_of, titles_of
from brushbench.reports.figures import mark_of, write_figure
from brushbench.reports.intervals import table_interval
from brushbench.reports.seeds import sample_values
from brushbench.reports.statistics import Estimate
from brushbench.reports.style import separated
from brushbench.reports.trade_off_panel import CurvePoint, TradeOffPoint, View, draw_points, labels_at, view_of
from brushbench.runs.folder import Run

PRESERVATION = "psnr"
ALIGNMENT = ("papercut-clip", "clip")
"""The first metric that is scored is used; PaperCut's own CLIP is scored only on PaperCut."""
ACROSS = 3
PANEL, GAP, HEADING, FOOT, LINE = 2.6, 0.75, 0.3, 0.5, 0.16
"""In inches: side of a panel, room for axis labels, heights of a title, the label below and a line of the legend."""
EDGE, TALLEST, SHAPE = 0.12, 2.6, 0.75
"""In inches, the room at the right of a panel of a set width and the most height; and its height for its width."""
LARGEST = 24
"""Most groups in one figure."""
BARS = "bars: 95 % intervals, as in the tables"
OPEN = "open markers: some or all samples are at the metric's ceiling"
CUT = "in brackets: the value of a point beyond its axis"


@dataclass(frozen=True, slots=True)
class _Page:
    """Measures of the whole figure, in inches."""

    across: int
    panel: tuple[float, float]
    """Width and height of a panel."""
    heading: float
    edge: float

    def corner(self, place: int) -> tuple[float, float]:
        """Return the left and the top of a panel."""
        row, column = divmod(place, self.across)
        left = GAP + column * (self.panel[0] + GAP + self.edge)
        return left, row * (self.heading + self.panel[1] + FOOT) + self.heading

    @property
    def width(self) -> float:
        """Return the width of the figure."""
        return self.across * (self.panel[0] + GAP + self.edge) + (0 if self.edge else 0.2)


def write_trade_off(
    runs: Sequence[Run], file: Path, names: Mapping[str, CurvePoint] | None = None, style: FigureStyle | None = None
) -> None:
    """Draw a panel for each data set, split and protocol, with a point for each row of the table.

    `names` maps a run's folder to how it is shown, and the points of a series are connected in their order; if it is
    None, methods are shown by name, unconnected. Raises `UserError` if the two metrics are not scored, and for a file
    that `brushbench.reports.figures.write_figure` cannot write.
    """
    style = style or FigureStyle()
    shown = shown_of(runs, style)
    both = _axes(shown.metrics, style)
    found = [
        (title, points)
        for title, (_, rows) in zip(titles_of(shown, style), shown.groups(), strict=True)
        if (points := _points(rows, both, names))
    ]
    if not found:
        raise UserError(one_line(f"none of these runs is scored with both {both[0].name} and {both[1].name}"))
    if len(found) > LARGEST:
        raise UserError(f"{len(found)} groups of runs are too many for one figure; give fewer runs")
    write_figure(file, lambda: _figure(found, both, shown, style, connected=names is not None), style.settings())


def _axes(infos: Mapping[str, MetricInfo], style: FigureStyle) -> tuple[MetricInfo, MetricInfo]:
    """Return the metrics of both axes: PSNR and text alignment, unless two are chosen."""
    if chosen := separated(style.metrics):
        if len(chosen) != 2:
            raise UserError(one_line(f"a trade-off has two metrics, across and up, but --metrics has {len(chosen)}"))
        return infos[chosen[0]], infos[chosen[1]]
    aligned = next((name for name in ALIGNMENT if name in infos), None)
    if PRESERVATION not in infos or aligned is None:
        missing = PRESERVATION if PRESERVATION not in infos else f"text alignment ({' or '.join(ALIGNMENT)})"
        raise UserError(f"the figure needs known-region PSNR and text alignment, but {missing} is not scored")
    return infos[PRESERVATION], infos[aligned]


def _points(
    rows: pd.DataFrame, infos: tuple[MetricInfo, MetricInfo], names: Mapping[str, CurvePoint] | None
) -> list[TradeOffPoint]:
    points = []
    for method, own in rows.groupby("method", sort=False, observed=True):
        (kept, capped), (aligned, _) = (_mean(own[own["metric"] == info.name], info) for info in infos)
        if kept.count and aligned.count:
            named = names[str(own["run"].iloc[0])] if names is not None else CurvePoint(str(method))
            points.append(TradeOffPoint(named, kept, aligned, capped))
    order = list(names.values()) if names is not None else []
    return sorted(points, key=lambda point: order.index(point.named)) if order else points


def _mean(rows: pd.DataFrame, info: MetricInfo) -> tuple[Estimate, int]:
    """Return the mean with the interval of the tables, not scaled, and how many scores count as the ceiling."""
    values, statuses = rows["value"].to_numpy(np.float64, na_value=np.nan), rows["status"].to_numpy(str)
    protocol = str(rows["protocol"].iloc[0]) if len(rows) else ""
    known = sample_values(rows.assign(value=counted(values, statuses, info, protocol)))
    capped = int(is_capped(values, statuses, info, protocol).sum())
    return table_interval(known, None, info, protocol), capped


def _page(count: int, style: FigureStyle, *, has_titles: bool) -> _Page:
    across = min(ACROSS, count)
    heading = HEADING if has_titles else 0.1
    if style.inches is None:
        return _Page(across, (PANEL, PANEL), heading, 0.0)
    across = 1 if is_one_column(style.width) else across
    width = style.inches / across - GAP - EDGE
    return _Page(across, (width, min(TALLEST, SHAPE * width) if across == 1 else width), heading, EDGE)


def _figure(
    groups: Sequence[tuple[str, Sequence[TradeOffPoint]]],
    infos: tuple[MetricInfo, MetricInfo],
    shown: Shown,
    style: FigureStyle,
    *,
    connected: bool,
) -> Figure:
    series = list(dict.fromkeys(point.named.series for _, points in groups for point in points))
    page = _page(len(groups), style, has_titles=any(title for title, _ in groups))
    views = [view_of(points, infos, page.panel[0]) for _, points in groups]
    labels = [labels_at(view, page.panel, style, connected=connected) for view in views]
    # With labels beside the points, there is no need for a legend.
    needs_legend = any(each is None for each in labels)
    if needs_legend:
        labels = [labels_at(view, page.panel, style, connected=connected, has_legend=True) for view in views]
    columns = max(1, int(page.width // (0.4 + max(style.across(style.text(name)) for name in series))))
    note = _wrapped(_note(views, shown.seeds, style), page.width - 0.1, style)
    foot = LINE * ((-(-len(series) // columns) if needs_legend else 0) + len(note) + 0.5 * bool(note or needs_legend))
    height = -(-len(groups) // page.across) * (page.heading + page.panel[1] + FOOT) + foot
    figure = Figure(figsize=(page.width, height))
    for place, ((title, _), view, texts) in enumerate(zip(groups, views, labels, strict=True)):
        left, top = page.corner(place)
        corner = (left / page.width, 1 - (top + page.panel[1]) / height)
        axis = figure.add_axes((*corner, page.panel[0] / page.width, page.panel[1] / height))
        draw_points(axis, view, series, infos, connected=connected)
        axis.set_title(title)
        axis.set_xlabel(", ".join(filter(None, style.label(infos[0], shown.names))))
        axis.set_ylabel(", ".join(filter(None, style.label(infos[1], shown.names))))
        for index, text, (right, up) in texts or []:
            colour = mark_of(series.index(view.points[index].named.series))[0]
            axis.annotate(
                text, view.at[index], xytext=(right, up), textcoords="offset points", fontsize=style.small, zorder=4,
                color=colour, va="bottom",
            )  # fmt: skip
    if needs_legend:
        _legend(figure, series, columns, LINE * (len(note) + 0.3) / height, style, connected=connected)
    size = style.small
    figure.text(0.02, 0.4 * LINE / height, "\n".join(note), fontsize=size, color="0.4", va="bottom")
    return figure


def _wrapped(text: str, inches: float, style: FigureStyle) -> list[str]:
    """Return the lines of a note of this width."""
    letter = style.across(text, style.small) / max(len(text), 1)
    return textwrap.wrap(text, max(20, int(0.97 * inches / letter))) if text else []


def _legend(
    figure: Figure, series: Sequence[str], columns: int, bottom: float, style: FigureStyle, *, connected: bool
) -> None:
    line = "-" if connected else ""
    handles = [
        figure.axes[0].plot([], [], color=mark_of(place)[0], marker=mark_of(place)[1], linestyle=line)[0]
        for place in range(len(series))
    ]
    names = [style.text(name) for name in series]
    figure.legend(handles, names, loc="lower left", bbox_to_anchor=(0.02, bottom), ncols=columns)


def _note(views: Sequence[View], seeds: str, style: FigureStyle) -> str:
    """Return what the signs in the figure mean, of those that are there, and over how many seeds the points are."""
    points = [point for view in views for point in view.points]
    has_bars = any(not np.isnan(found.low) for point in points for found in (point.kept, point.aligned))
    told = [
        seeds,
        BARS if has_bars else "",
        OPEN if any(point.capped for point in points) else "",
        CUT if any(cut for view in views for cut in view.cut) else "",
    ]
    return "" if style.table.notes == "none" else "; ".join(filter(None, told))
