"""The page of a gallery of PaperCut, in a browser."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from browser import Visit

from brushbench import frame

METHODS = ["telea", "mean-fill", "copy"]
METRIC = "papercut-clip"
COUNT = 40


def ordered(values: pd.Series) -> list[str]:
    return list(values.sort_values(ascending=False, kind="stable", na_position="last").index)


def first(seen: Visit) -> str:
    return seen.page.evaluate("Gallery.grid.nameOf(Gallery.store.rows[0])")


def opened(visit: Callable[..., Visit], more: str = "") -> Visit:
    seen = visit()
    seen.open(f"#open={first(seen)}{more}")
    seen.page.wait_for_selector("#detail[open] .pane")
    return seen


def drag(seen: Visit, start: tuple[float, float], end: tuple[float, float]) -> None:
    seen.page.mouse.move(*start)
    seen.page.mouse.down()
    seen.page.mouse.move(*end, steps=4)
    seen.page.mouse.up()


def scores_in(gallery: Path) -> pd.DataFrame:
    """The scores of the usual metric, a row for each sample, a column for each method."""
    tidy = frame(gallery / "runs")
    return tidy[tidy["metric"] == METRIC].pivot_table(index="sample", columns="method", values="value")
