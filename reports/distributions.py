"""Draw how the scores of each method are distributed: a box for every method, a panel for every metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brushbench.core.errors import UserError
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.counting import counted, is_capped
from brushbench.reports.figures import axis_label, mark_of, readable, write_figure
from brushbench.reports.frame import frame_of, metrics_of
from brushbench.reports.summary import GROUP
from brushbench.runs.folder import Run

ACROSS = 3
"""Number of panels in a row."""
PANEL, GAP, ROW, LABEL, HEADING = 2.0, 0.2, 0.17, 0.55, 0.3
"""In inches: width of a panel, gap between panels, and heights of a method, of the label below and of a title."""
LETTER = 0.065
"""Width of a letter of the methods' names, in inches."""
LARGEST = 100
"""Largest height in inches; a higher PNG file would have more rows than the renderer can draw."""


@dataclass(frozen=True, slots=True)
class _Group:
    title: str
    rows: pd.DataFrame
    methods: list[str]
    metrics: list[MetricInfo]

    @property
    def down(self) -> int:
        """Number of rows of panels."""
        return -(-len(self.metrics) // ACROSS)

    @property
    def height(self) -> float:
        """Height in inches."""
        return HEADING + self.down * (ROW * (len(self.methods) + 0.5) + LABEL)


def write_distributions(runs: Sequence[Run], file: Path) -> None:
    """Draw the middle half of the scores as a box, with a line at the median and whiskers from 5 to 95 %.

    Each data set, split and protocol has a block of panels. Raises `UserError` if none of the runs is scored, and for
    a file that `brushbench.reports.figures.write_figure` cannot write.
    """
    tidy, infos = frame_of(runs), metrics_of(runs)
    if tidy.empty:
        raise UserError("none of these runs is scored; run `brushbench score RUN` first")
    groups = [_group(key, rows, infos) for key, rows in tidy.groupby(GROUP, sort=False)]
    if sum(group.height for group in groups) > LARGEST:
        raise UserError(f"{len(groups)} groups of runs are too many for one figure; give fewer runs")
    write_figure(file, lambda: _figure(groups))


def title_of(key: object) -> str:
    """Return the heading of a group, as figures show it."""
    dataset, split, protocol = key if isinstance(key, tuple) else (key, "", "")
    return readable(f"{dataset}, split {split}, protocol {protocol}", 80)


def _group(key: object, rows: pd.DataFrame, infos: Mapping[str, MetricInfo]) -> _Group:
    present = set(rows["metric"])
    samples = rows.groupby("method")["sample"].nunique().max()
    return _Group(
        f"{title_of(key)}, {samples} samples",
        rows,
        list(dict.fromkeys(rows["method"])),
        [info for name, info in infos.items() if name in present],
    )


def _figure(groups: Sequence[_Group]) -> Figure:
    left = 0.2 + LETTER * max(len(readable(method)) for group in groups for method in group.methods)
    across = min(ACROSS, max(len(group.metrics) for group in groups))
    width, height = left + across * (PANEL + GAP), sum(group.height for group in groups)
    figure = Figure(figsize=(width, height))
    top = 0.0
    for group in groups:
        figure.text(0.5, 1 - (top + 0.1) / height, group.title, ha="center", va="top", fontsize=9)
        panel = ROW * (len(group.methods) + 0.5)
        for place, info in enumerate(group.metrics):
            row, column = divmod(place, ACROSS)
            bottom = top + HEADING + row * (panel + LABEL) + panel
            corner = ((left + column * (PANEL + GAP)) / width, 1 - bottom / height)
            axis = figure.add_axes((*corner, PANEL / width, panel / height))
            _panel(axis, group, info)
            if column:
                axis.set_yticklabels([])
        top += group.height
    return figure


def _panel(axis: Axes, group: _Group, info: MetricInfo) -> None:
    rows = group.rows[group.rows["metric"] == info.name]
    for place, method in enumerate(group.methods):
        own = rows[rows["method"] == method]
        values, capped = _counted(own, info)
        if len(values):
            _box(axis, values, place)
        if capped:
            axis.text(
                0.93, place - 0.3, f"{capped} at ≥ {info.ceiling:g}", va="center", ha="right",
                transform=axis.get_yaxis_transform(), fontsize=6, color=mark_of(place)[0],
            )  # fmt: skip
    axis.set_yticks(range(len(group.methods)), [readable(method) for method in group.methods])
    axis.set_ylim(len(group.methods) - 0.4, -0.6)
    axis.use_sticky_edges = False
    axis.margins(x=0.05)
    axis.locator_params(axis="x", nbins=5)
    name, _, rest = axis_label(info).partition(", ")
    axis.set_xlabel(f"{name}\n{rest}", fontsize=7)
    axis.grid(axis="x", linewidth=0.3, color="0.85")
    axis.set_axisbelow(True)


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
