"""Tables of evidence: means over seeds, ranks, pairs of methods, tails, and the best of several seeds."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from brushbench.core.errors import UserError
from brushbench.reports.evidence.best_of import best_of
from brushbench.reports.evidence.grids import ScoreGrid, grids_of
from brushbench.reports.evidence.hierarchical import mean_over_seeds
from brushbench.reports.evidence.listing import ListedTable, ListedTables
from brushbench.reports.evidence.pairs import Share, pairs_of
from brushbench.reports.evidence.ranks import DRAWS, ranks_of
from brushbench.reports.evidence.tails import FAR, tail_of, threshold
from brushbench.reports.formats.records import Value
from brushbench.reports.layout import Column, heading
from brushbench.reports.look import Look, look_of
from brushbench.reports.renaming import with_names
from brushbench.reports.style import Style
from brushbench.reports.summary import summarise
from brushbench.runs.folder import Run


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """A row of a table, as text and as numbers."""

    cells: tuple[str, ...]
    record: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of table."""

    heads: tuple[str, ...]
    lines: Callable[[ScoreGrid, Column, str], Iterator[EvidenceRow]]
    """The rows of one metric; the last argument is its heading."""
    notes: tuple[str, ...]
    needs: str
    """What is missing if there are no rows."""


def evidence(runs: Sequence[Run], kind: str, style: Style) -> ListedTables:
    """Return a table of `KINDS` for runs. Raises `UserError` if they have nothing for it."""
    summary = summarise(runs, "", style.rows, style.splits, over_seeds=True)
    look = look_of(summary, style)
    summary = with_names(summary, look.names)
    found: dict[str, list[EvidenceRow]] = {}
    for grid in grids_of(summary):
        place = f"{look.names.of(grid.dataset)}, split {look.names.of(grid.split)}, protocol {grid.protocol}"
        column = _column(grid, look)
        lines = found.setdefault(place, [])
        lines += KINDS[kind].lines(grid, column, heading(grid.info, column.name, place=True))
    tables = tuple(
        ListedTable(place, KINDS[kind].heads, tuple(line.cells for line in lines))
        for place, lines in found.items()
        if lines
    )
    if not tables:
        raise UserError(f"--table {kind} needs {KINDS[kind].needs}")
    records = tuple(line.record for lines in found.values() for line in lines)
    return ListedTables(tables, KINDS[kind].notes, records, f"tab:{kind}")


def _column(grid: ScoreGrid, look: Look) -> Column:
    digits = look.digits.get(grid.info.name, look.digits.get(""))
    return Column(grid.split, "", grid.info, look.names.texts.get(grid.info.name, ""), digits)


def _record(grid: ScoreGrid, **numbers: Value) -> dict[str, Value]:
    place = {"dataset": grid.dataset, "protocol": grid.protocol, "split": grid.split, "metric": grid.info.name}
    return {**place, **numbers, "unit": grid.info.unit, "scale": grid.info.scale}


def _interval(column: Column, low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"[{column.printed(low)}, {column.printed(high)}]"


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _means(grid: ScoreGrid, column: Column, head: str) -> Iterator[EvidenceRow]:
    for name, scores in grid.methods.items():
        found = mean_over_seeds(scores.to_numpy(float), crossed=grid.is_crossed)
        if math.isnan(found.mean):
            continue
        seeds = scores.shape[1]
        cells = (name, head, str(found.clusters), str(seeds), column.printed(found.mean))
        numbers = {"mean": found.mean, "low": found.low, "high": found.high, "standard_error": found.standard_error}
        yield EvidenceRow(
            (*cells, _interval(column, found.low, found.high)),
            _record(grid, method=name, n_images=found.clusters, n_seeds=seeds, **numbers),
        )


def _ranks(grid: ScoreGrid, _column: Column, head: str) -> Iterator[EvidenceRow]:
    for name, ranks in ranks_of(grid).items():
        interval = f"{ranks.low}" if ranks.low == ranks.high else f"{ranks.low} to {ranks.high}"
        shares = ", ".join(f"{100 * share:.0f} %" for share in ranks.shares)
        yield EvidenceRow(
            (name, head, interval, shares),
            _record(
                grid, method=name, low=ranks.low, high=ranks.high, shares=" ".join(f"{one:.4f}" for one in ranks.shares)
            ),
        )


def _pairs(grid: ScoreGrid, column: Column, head: str) -> Iterator[EvidenceRow]:
    for pair in pairs_of(grid):
        own = pair.difference
        yield EvidenceRow(
            (
                *(pair.first, pair.second, head, str(pair.images), str(pair.seeds)),
                *(column.printed(own.mean), _interval(column, own.low, own.high), f"{pair.p:.3f}"),
                *("-" if math.isnan(pair.effect) else f"{pair.effect:.2f}", _percent(pair.wins)),
            ),
            _record(
                grid,
                first=pair.first,
                second=pair.second,
                n_images=pair.images,
                n_seeds=pair.seeds,
                difference=own.mean,
                low=own.low,
                high=own.high,
                p=pair.p,
                effect_size=pair.effect,
                win_rate=pair.wins.value,
                win_rate_low=pair.wins.low,
                win_rate_high=pair.wins.high,
            ),
        )


def _tails(grid: ScoreGrid, column: Column, head: str) -> Iterator[EvidenceRow]:
    limit = threshold(grid)
    for name, scores in grid.contenders.items():
        found = tail_of(scores.to_numpy(float), limit, higher_is_better=grid.info.higher_is_better)
        if found is None:
            continue
        cells = (name, head, str(found.scored), str(found.failed), column.printed(found.worst), column.printed(limit))
        bad = found.catastrophic
        numbers = {"worst": found.worst, "threshold": limit, "catastrophic": bad.value}
        ends = {"catastrophic_low": bad.low, "catastrophic_high": bad.high}
        yield EvidenceRow(
            (*cells, _percent(bad)),
            _record(grid, method=name, n_scored=found.scored, n_failed=found.failed, **numbers, **ends),
        )


def _best(grid: ScoreGrid, column: Column, head: str) -> Iterator[EvidenceRow]:
    for name, scores in grid.methods.items():
        curve = best_of(scores.to_numpy(float), higher_is_better=grid.info.higher_is_better)
        for one in curve if len(curve) > 1 else ():
            own = one.best
            cells = (name, head, str(one.count), column.printed(own.mean), _interval(column, own.low, own.high))
            error = "-" if math.isnan(one.error) else column.printed(one.error)
            numbers = {"best": own.mean, "low": own.low, "high": own.high, "mean": one.mean, "error": one.error}
            yield EvidenceRow(
                (*cells, column.printed(one.mean), error), _record(grid, method=name, n=one.count, **numbers)
            )


_SEEDS = (
    "seeds: under protocol strict every image has noise of its own, so an image's scores are averaged and intervals "
    "are over images; under protocol paper all images share a seed's noise, whose common effect is added"
)
_CONTENDERS = "references and floors are left out"
_SIGN = "differences are signed so that positive is better for A"
KINDS: Mapping[str, Kind] = {
    "means": Kind(
        ("method", "metric", "images", "seeds", "mean", "95 % interval"), _means, (_SEEDS,), "runs with scores"
    ),
    "ranks": Kind(
        ("method", "metric", "95 % interval of its rank", "1st, 2nd, ..."),
        _ranks,
        (
            f"how often a method has each rank in {DRAWS} draws of images and of their seeds, with replacement; "
            "methods with equal means share the better rank",
            _CONTENDERS,
        ),
        "two methods that share at least two samples",
    ),
    "pairs": Kind(
        ("A", "B", "metric", "images", "seeds", "A - B", "95 % interval", "p", "d_z", "A wins"),
        _pairs,
        (
            f"{_SIGN}; p is not corrected for several tests; d_z: mean difference of an image over its standard "
            "deviation; A wins: share of images x seeds with Wilson's 95 % interval, a tie counts half",
            _SEEDS,
            _CONTENDERS,
        ),
        "two methods that share samples and seeds",
    ),
    "tails": Kind(
        ("method", "metric", "scored", "failed", "mean of the worst 5 %", "threshold", "catastrophic"),
        _tails,
        (
            "catastrophic: a sample without a score, or whose score is worse than the median of all contenders by more "
            f"than {FAR:g} robust standard deviations (1.4826 x the median absolute deviation), the threshold",
            _CONTENDERS,
        ),
        "scored runs of a method",
    ),
    "best-of-n": Kind(
        ("method", "metric", "n", "best of n", "95 % interval", "mean", "standard error of the mean of n"),
        _best,
        (
            "best of n: the expected best of n seeds of an image, over all subsets of its seeds, then the mean over "
            "the images that have a score under every seed; the best is chosen by the very metric",
        ),
        "runs of a method under at least two seeds",
    ),
}
