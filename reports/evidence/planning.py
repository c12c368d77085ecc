"""The table of `brushbench plan`: images for every number of seeds, for each split of the pilot runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.reports.evidence.grids import ScoreGrid, grids_of, shared_samples
from brushbench.reports.evidence.listing import ListedTable, ListedTables
from brushbench.reports.evidence.plan import Needed, Spread, cheapest, needed, spread_of
from brushbench.reports.formats.records import Value
from brushbench.reports.layout import Column, heading
from brushbench.reports.summary import summarise
from brushbench.runs.folder import Run

HEADS = ("seeds", "images", "images to generate with each method", "")


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found, and how surely."""

    metric: str
    effect: float
    """As tables print it: scaled."""
    power: float
    alpha: float
    most_seeds: int
    methods: tuple[str, str] | None = None


def planned(runs: Sequence[Run], asked: Question) -> ListedTables:
    """Return the plan from pilot runs. Raises `UserError` for a metric or method they lack, and for a small pilot."""
    summary = summarise(runs, "", over_seeds=True)
    grids = list(grids_of(summary))
    own = [grid for grid in grids if grid.info.name == asked.metric]
    if not own:
        raise unknown("metric", asked.metric, list(dict.fromkeys(grid.info.name for grid in grids)))
    parts = [_planned(grid, asked) for grid in own]
    notes = (
        f"to find a true difference of {asked.effect:g} with {100 * asked.power:g} % power by a two-sided paired "
        f"t-test at {100 * asked.alpha:g} %, not corrected for several tests",
        "more seeds never mean fewer images to generate, but help where the data set has too few for the first row",
        *(note for _, note, _ in parts),
    )
    return ListedTables(
        tuple(table for table, _, _ in parts), notes, tuple(record for *_, own in parts for record in own), "tab:plan"
    )


def _planned(grid: ScoreGrid, asked: Question) -> tuple[ListedTable, str, list[dict[str, Value]]]:
    first, second = _methods(grid, asked)
    spread = _spread(grid, first, second)
    counts = range(1, asked.most_seeds + 1) if spread.seed_count > 1 else [1]
    effect = asked.effect / grid.info.scale
    found = [needed(spread, effect, power=asked.power, alpha=asked.alpha, seeds=count) for count in counts]
    best = cheapest(found)
    column = Column(grid.split, "", grid.info)
    title = (
        f"{grid.dataset}, split {grid.split}, protocol {grid.protocol}: {heading(grid.info, column.name, place=True)}, "
    )
    table = ListedTable(
        f"{title}{first} against {second}", HEADS, tuple(_cells(one, is_best=one is best) for one in found)
    )
    facts = {"dataset": grid.dataset, "protocol": grid.protocol, "split": grid.split, "metric": grid.info.name}
    records: list[dict[str, Value]] = [
        {
            **facts,
            "first": first,
            "second": second,
            "effect": effect,
            "seeds": one.seeds,
            "images": one.images,
            "generated": one.generated,
            "is_cheapest": one is best,
        }
        for one in found
    ]
    return table, _pilot(grid, spread, column), records


def _methods(grid: ScoreGrid, asked: Question) -> tuple[str, str]:
    names = list(grid.methods)
    if asked.methods:
        for name in asked.methods:
            if name not in names:
                raise unknown("method", name, names)
        if len(set(asked.methods)) == 1:
            raise UserError(one_line(f"{asked.methods[0]} is compared with itself; valid: two of {', '.join(names)}"))
        return asked.methods
    contenders = list(grid.contenders)
    if len(contenders) != 2:
        raise UserError(
            one_line(
                f"the pilot has {len(contenders)} methods ({', '.join(contenders)}); valid: --method A --against B"
            )
        )
    return contenders[0], contenders[1]


def _spread(grid: ScoreGrid, first: str, second: str) -> Spread:
    one, other = grid.methods[first], grid.methods[second]
    seeds = [seed for seed in one.columns if seed in other.columns]
    if not seeds:
        raise UserError(one_line(f"{first} and {second} share no seed; valid: runs of both under the same seeds"))
    samples = shared_samples({first: one[seeds], second: other[seeds]})
    differences = one.loc[samples, seeds].to_numpy(np.float64) - other.loc[samples, seeds].to_numpy(np.float64)
    return spread_of(differences, crossed=grid.is_crossed)


def _cells(one: Needed, *, is_best: bool) -> tuple[str, ...]:
    if one.images is None:
        return str(one.seeds), "no number is enough", "-", ""
    return str(one.seeds), str(one.images), str(one.generated), "fewest" if is_best else ""


def _pilot(grid: ScoreGrid, spread: Spread, column: Column) -> str:
    size = f"{spread.count} images x {spread.seed_count} seed{'s' * (spread.seed_count > 1)}"
    told = f"pilot on {grid.split}: {size}; standard deviation of the difference"
    if spread.seed_count == 1:
        return f"{told} {column.printed(spread.images**0.5)}, of which one seed can't tell the seeds' part"
    parts = f"between images {column.printed(spread.images**0.5)}, within an image {column.printed(spread.rest**0.5)}"
    return f"{told} {parts}" + (f", of a seed {column.printed(spread.seeds**0.5)}" if grid.is_crossed else "")
