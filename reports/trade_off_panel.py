"""Draw one panel of the trade-off: points with the intervals of the tables, each with its name beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from brushbench.core.metric_info import MetricInfo
from brushbench.reports.axis_range import Ends, axis_of
from brushbench.reports.figure_style import FigureStyle
from brushbench.reports.figures import mark_of
from brushbench.reports.label_places import Box, places_of
from brushbench.reports.statistics import Estimate

TICK = 0.5
"""Room for a tick of the horizontal axis, in inches."""
LINE = 1.25
"""Height of a line of text, relative to the size of its letters."""
ROOM = 0.1
"""Part of an axis that is added at both ends."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """How a run is shown: the curve that it belongs to, and the label of its point."""

    series: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class TradeOffPoint:
    """A run in the figure."""

    named: CurvePoint
    kept: Estimate
    """The metric on the horizontal axis, as the tables print it."""
    aligned: Estimate
    capped: int
    """Number of samples that count as the ceiling."""

    @property
    def beyond(self) -> bool:
        """Tell whether all samples do, so that the mean is only known to be at least the ceiling, off the axis."""
        return self.capped == self.kept.count


@dataclass(frozen=True, slots=True)
class View:
    """Where everything in a panel is."""

    points: Sequence[TradeOffPoint]
    at: Sequence[tuple[float, float]]
    """Where each point is drawn: at the edge, if it is beyond it."""
    x: Ends
    """Ends of the horizontal axis."""
    y: Ends
    ticks: Sequence[float]
    past: float | None
    """Where the points without a finite value are on the horizontal axis; None if there are none."""
    cut: Sequence[str]
    """For each point, its true values if it is drawn at the edge instead."""


def bars(found: Estimate, info: MetricInfo) -> tuple[float, float, float]:
    """Return mean and both ends of the interval as drawn: scaled, and without a bar if there is no interval."""
    mean, low, high = (value * info.scale for value in (found.mean, found.low, found.high))
    return mean, mean if np.isnan(low) else low, mean if np.isnan(high) else high


def view_of(points: Sequence[TradeOffPoint], infos: tuple[MetricInfo, MetricInfo], width: float) -> View:
    """Return where the points are: on axes that show most of them, the others at the edges.

    `width` is that of the panel in inches.
    """
    across = [bars(point.kept, infos[0]) for point in points]
    up = [bars(point.aligned, infos[1]) for point in points]
    finite = [ends for point, ends in zip(points, across, strict=True) if not point.beyond]
    low, high = _range([each[1:] for each in finite]) if finite else (0.0, 1.0)
    bottom, top = _range([each[1:] for each in up])
    past = high + 0.22 * max(high - low, 1.0) if len(finite) < len(points) else None
    at = [
        (
            past if point.beyond and past is not None else float(np.clip(x[0], low, high)),
            float(np.clip(y[0], bottom, top)),
        )
        for point, x, y in zip(points, across, up, strict=True)
    ]
    return View(
        points=points,
        at=at,
        x=_wider(low, high if past is None else past) if finite or past is None else (past - 1, past + 1),
        y=_wider(bottom, top),
        ticks=[
            tick
            for tick in MaxNLocator(max(2, min(5, int(width / TICK)))).tick_values(low, high)
            if finite and low <= tick <= high
        ],
        past=past,
        cut=[
            " ".join(
                f"{sign} {value:.4g}"
                for sign, value, is_cut in (
                    ("x", x[0], not point.beyond and not low <= x[0] <= high),
                    ("y", y[0], not bottom <= y[0] <= top),
                )
                if is_cut
            )
            for point, x, y in zip(points, across, up, strict=True)
        ],
    )


def labels_at(
    view: View, size: tuple[float, float], style: FigureStyle, *, connected: bool, has_legend: bool = False
) -> list[tuple[int, str, tuple[float, float]]] | None:
    """Return for each label its point, its text, and where it is from there; None if one of them has no room.

    A series is named at its last point if its points have labels of their own. Beside a legend, which names the series,
    there are only labels of points, and only those that have room. `size` is the panel's, in inches.
    """
    wanted: list[tuple[int, str]] = []
    for index, point in enumerate(view.points):
        name = point.named.label if connected or has_legend else point.named.series
        text = " ".join(filter(None, [name, f"({view.cut[index]})" if view.cut[index] else ""]))
        wanted += [(index, style.text(text, size[0]))] if text else []
    if connected and not has_legend:
        last = {point.named.series: index for index, point in enumerate(view.points)}
        wanted += [(index, style.text(series, size[0])) for series, index in last.items()]
    where = [_in_points(at, view, size) for at in view.at]
    sizes = [(style.across(text, style.small) * 72, style.small * LINE) for _, text in wanted]
    found = places_of([where[index] for index, _ in wanted], sizes, Box(0, 0, size[0] * 72, size[1] * 72), where)
    if None in found and not has_legend:
        return None
    return [(*one, place) for one, place in zip(wanted, found, strict=True) if place]


def draw_points(
    axis: Axes, view: View, series: Sequence[str], infos: tuple[MetricInfo, MetricInfo], *, connected: bool
) -> None:
    """Draw points, intervals and curves."""
    for index, name in enumerate(series):
        own = [place for place, point in enumerate(view.points) if point.named.series == name]
        colour, marker = mark_of(index)
        if connected and own:
            axis.plot(
                [view.at[place][0] for place in own], [view.at[place][1] for place in own], color=colour, alpha=0.6
            )
        for place in own:
            point, (x, y) = view.points[place], view.at[place]
            # The interval of a point at the edge is beyond it.
            _, left, right = bars(point.kept, infos[0]) if "x" not in view.cut[place] else (x, x, x)
            _, bottom, top = bars(point.aligned, infos[1]) if "y" not in view.cut[place] else (y, y, y)
            across = None if point.beyond else [[x - left], [right - x]]
            axis.errorbar(
                x, y, [[y - bottom], [top - y]], across, fmt=marker, color=colour,
                mfc="white" if point.capped else colour, elinewidth=0.5, ms=5, zorder=3,
            )  # fmt: skip
    axis.set_xlim(*view.x)
    axis.set_ylim(*view.y)
    axis.locator_params(axis="y", nbins=6)
    if view.past is not None:
        beyond = view.past
        if view.ticks:
            axis.axvline((max(view.ticks) + beyond) / 2, color="0.6", linewidth=0.6, linestyle=":")
        axis.set_xticks([*view.ticks, beyond], [*(f"{tick:g}" for tick in view.ticks), f"≥ {infos[0].ceiling:g}"])
    elif len(view.ticks) > 1:
        axis.set_xticks(list(view.ticks), [f"{tick:g}" for tick in view.ticks])
    axis.grid(linewidth=0.3, color="0.88")
    axis.set_axisbelow(True)


def _range(intervals: Sequence[tuple[float, float]]) -> Ends:
    """Return the part of an axis that shows most intervals; a log axis would hide that the scales are compared."""
    ends = [end for interval in intervals for end in interval]
    view = axis_of(intervals, ends, may_be_log=False)
    return (view.low, view.high) if view.kind == "clipped" else (min(ends), max(ends))


def _wider(low: float, high: float) -> Ends:
    room = ROOM * (high - low) or 0.5
    return low - room, high + room


def _in_points(at: tuple[float, float], view: View, size: tuple[float, float]) -> tuple[float, float]:
    x, y = ((value - ends[0]) / (ends[1] - ends[0]) for value, ends in zip(at, (view.x, view.y), strict=True))
    return x * size[0] * 72, y * size[1] * 72
