"""Plot preservation against text alignment: known-region PSNR and CLIP, as a cloud of methods or as a curve."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.counting import counted, is_capped
from brushbench.reports.distributions import title_of
from brushbench.reports.figures import axis_label, mark_of, readable, write_figure
from brushbench.reports.frame import frame_of, metrics_of
from brushbench.reports.intervals import table_interval
from brushbench.reports.statistics import Estimate
from brushbench.reports.summary import GROUP
from brushbench.runs.folder import Run

PRESERVATION = "psnr"
ALIGNMENT = ("papercut-clip", "clip")
"""The first metric that is scored is used; PaperCut's own CLIP is scored only on PaperCut."""
ACROSS = 3
PANEL, GAP, HEADING, FOOT, LINE = 2.6, 0.75, 0.3, 0.5, 0.16
"""In inches: side of a panel, room for axis labels, heights of a title, the label below and a line of the legend."""
LARGEST = 24
"""Most groups in one figure."""
NOTE = "bars: 95 % intervals, as in the tables; open markers: some or all samples are at the metric's ceiling"


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """How a run is shown: the curve that it belongs to, and the label of its point."""

    series: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class _Point:
    named: CurvePoint
    kept: Estimate
    """PSNR as the tables print it."""
    aligned: Estimate
    capped: int
    """Number of samples that count as the ceiling."""

    @property
    def beyond(self) -> bool:
        """Tell whether all samples do, so that the mean is only known to be at least the ceiling, off the axis."""
        return self.capped == self.kept.count


def write_trade_off(runs: Sequence[Run], file: Path, names: Mapping[str, CurvePoint] | None = None) -> None:
    """Draw a panel for each data set, split and protocol, with a point for each run.

    `names` maps a run's folder to how it is shown, and the points of a series are connected in their order; if it is
    None, methods are shown by name, unconnected. Raises `UserError` if the two metrics are not scored, and for a file
    that `brushbench.reports.figures.write_figure` cannot write.
    """
    tidy, infos = frame_of(runs), metrics_of(runs)
    aligned = next((name for name in ALIGNMENT if name in infos), None)
    if PRESERVATION not in infos or aligned is None:
        missing = PRESERVATION if PRESERVATION not in infos else f"text alignment ({' or '.join(ALIGNMENT)})"
        raise UserError(f"the figure needs known-region PSNR and text alignment, but {missing} is not scored")
    both = infos[PRESERVATION], infos[aligned]
    groups = {title_of(key): _points(rows, both, names) for key, rows in tidy.groupby(GROUP, sort=False)}
    groups = {title: points for title, points in groups.items() if points}
    if not groups:
        raise UserError(one_line(f"none of these runs is scored with both {PRESERVATION} and {aligned}"))
    if len(groups) > LARGEST:
        raise UserError(f"{len(groups)} groups of runs are too many for one figure; give fewer runs")
    write_figure(file, lambda: _figure(groups, both, connected=names is not None))


def _points(
    rows: pd.DataFrame, infos: tuple[MetricInfo, MetricInfo], names: Mapping[str, CurvePoint] | None
) -> list[_Point]:
    points = []
    for (run, method), own in rows.groupby(["run", "method"], sort=False):
        (kept, capped), (aligned, _) = (_mean(own[own["metric"] == info.name], info) for info in infos)
        if kept.count and aligned.count:
            named = names[str(run)] if names is not None else CurvePoint(str(method))
            points.append(_Point(named, kept, aligned, capped))
    order = list(names.values()) if names is not None else []
    return sorted(points, key=lambda point: order.index(point.named)) if order else points


def _mean(rows: pd.DataFrame, info: MetricInfo) -> tuple[Estimate, int]:
    """Return the mean with the interval of the tables, not scaled, and how many scores count as the ceiling."""
    values, statuses = rows["value"].to_numpy(np.float64, na_value=np.nan), rows["status"].to_numpy(str)
    protocol = str(rows["protocol"].iloc[0]) if len(rows) else ""
    known = counted(values, statuses, info, protocol)
    capped = int(is_capped(values, statuses, info, protocol).sum())
    return table_interval(known[~np.isnan(known)], None, info, protocol), capped


def _figure(groups: Mapping[str, Sequence[_Point]], infos: tuple[MetricInfo, MetricInfo], *, connected: bool) -> Figure:
    series = list(dict.fromkeys(point.named.series for points in groups.values() for point in points))
    across = min(ACROSS, len(groups))
    down = -(-len(groups) // across)
    cell = HEADING + PANEL + FOOT
    columns = max(1, int(across * (PANEL + GAP) // 2.2))
    note = textwrap.wrap(NOTE, int(across * (PANEL + GAP) * 17))
    legend = LINE * (-(-len(series) // columns) + len(note) + 1)
    width, height = 0.2 + across * (PANEL + GAP), down * cell + legend
    figure = Figure(figsize=(width, height))
    for place, (title, points) in enumerate(groups.items()):
        row, column = divmod(place, across)
        left, top = GAP + column * (PANEL + GAP), row * cell + HEADING
        axis = figure.add_axes((left / width, 1 - (top + PANEL) / height, PANEL / width, PANEL / height))
        _panel(axis, points, series, infos, connected=connected)
        axis.set_title(title)
        axis.set_xlabel(axis_label(infos[0]))
        axis.set_ylabel(axis_label(infos[1]))
    handles = [
        figure.axes[0].plot([], [], color=mark_of(i)[0], marker=mark_of(i)[1], linestyle="-" if connected else "")[0]
        for i in range(len(series))
    ]
    names = [readable(name) for name in series]
    figure.legend(
        handles, names, loc="lower left", bbox_to_anchor=(0.02, LINE * (len(note) + 0.3) / height), ncols=columns
    )
    figure.text(0.02, 0.4 * LINE / height, "\n".join(note), fontsize=6, color="0.4", va="bottom")
    return figure


def _panel(
    axis: Axes,
    points: Sequence[_Point],
    series: Sequence[str],
    infos: tuple[MetricInfo, MetricInfo],
    *,
    connected: bool,
) -> None:
    finite = [point for point in points if not point.beyond]
    low = min((_bars(point.kept, infos[0])[1] for point in finite), default=0.0)
    high = max((_bars(point.kept, infos[0])[2] for point in finite), default=1.0)
    beyond = high + 0.22 * max(high - low, 1.0)
    where = {id(point): beyond if point.beyond else _bars(point.kept, infos[0])[0] for point in points}
    level = {id(point): _bars(point.aligned, infos[1]) for point in points}
    for index, name in enumerate(series):
        own = [point for point in points if point.named.series == name]
        colour, marker = mark_of(index)
        if connected and own:
            axis.plot(
                [where[id(point)] for point in own], [level[id(point)][0] for point in own], color=colour, alpha=0.6
            )
        for point in own:
            x, (y, bottom, top) = where[id(point)], level[id(point)]
            _, left, right = _bars(point.kept, infos[0])
            across = None if point.beyond else [[x - left], [right - x]]
            axis.errorbar(
                x, y, [[y - bottom], [top - y]], across, fmt=marker, color=colour,
                mfc="white" if point.capped else colour, elinewidth=0.5, ms=5, zorder=3,
            )  # fmt: skip
            text = readable(point.named.label)
            axis.annotate(text, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=6, zorder=4)
    axis.margins(0.1)
    axis.locator_params(axis="y", nbins=6)
    ticks = [tick for tick in MaxNLocator(5).tick_values(low, high) if finite and low <= tick <= high]
    if len(finite) < len(points):
        axis.axvline((high + beyond) / 2 if finite else beyond - 1, color="0.6", linewidth=0.6, linestyle=":")
        axis.set_xticks([*ticks, beyond], [*(f"{tick:g}" for tick in ticks), f"≥ {infos[0].ceiling:g}"])
    elif len(ticks) > 1:
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.grid(linewidth=0.3, color="0.88")
    axis.set_axisbelow(True)


def _bars(found: Estimate, info: MetricInfo) -> tuple[float, float, float]:
    """Return mean and both ends of the interval as drawn: scaled, and without a bar if there is no interval."""
    mean, low, high = (value * info.scale for value in (found.mean, found.low, found.high))
    return mean, mean if np.isnan(low) else low, mean if np.isnan(high) else high
