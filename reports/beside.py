"""Published numbers beside measured ones: rows of a table with both and their difference, and why there are none."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from brushbench.metric_catalogue import CATALOGUE
from brushbench.store import MethodIdentity
from reports.layout import Cell, Column, Row
from reports.published.matching import BENCHMARKS, Place, Registry, unofficial
from reports.published.registry import CONFIDENCE, SAMPLES, Published


@dataclass(frozen=True, slots=True)
class Beside:
    """Of one table."""

    dataset: str
    """Its name, without a digest."""
    protocol: str
    methods: dict[str, MethodIdentity]
    """By label."""
    registry: Registry = field(default_factory=Registry)

    def rows(self, method: str, columns: Sequence[Column], means: dict[tuple[str, str], float]) -> list[Row]:
        """What is published of a method, and how far the measured means, by split and metric, are from it."""
        numbers = [self._find(method, column.split, column.info.name) for column in columns]
        called = {number.called: None for number in numbers if number}
        if not called:
            return []
        published = [
            Cell(f"{number.value:.2f}", remark="" if number.confidence == "A" else f"({number.confidence})")
            if number
            else Cell("-")
            for number in numbers
        ]
        differences = [
            self._difference(number, column, means.get((column.split, column.info.name), np.nan))
            for number, column in zip(numbers, columns, strict=True)
        ]
        return [
            Row(f"published {' and '.join(called)}", tuple(published), "published"),
            Row("measured - published", tuple(differences), "difference"),
        ]

    def records(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of a summary with what is published, unscaled as they are."""
        numbers = [
            self._find(method, split, metric)
            for method, split, metric in zip(rows["method"], rows["split"], rows["metric"], strict=True)
        ]
        values = [
            number.value / CATALOGUE[metric].scale if number else np.nan
            for number, metric in zip(numbers, rows["metric"], strict=True)
        ]
        return rows.assign(
            published=values,
            published_difference=rows["mean"] - np.array(values, np.float64),
            published_confidence=pd.Series([number and number.confidence for number in numbers], rows.index, "object"),
            published_source=pd.Series([number and number.source for number in numbers], rows.index, "object"),
        )

    def notes(self, rows: pd.DataFrame) -> Iterator[str]:
        """Where the numbers are from; what differs from the published runs; why there are none."""
        pairs = list(zip(rows["method"], rows["split"], rows["metric"], strict=True))
        numbers = [number for pair in pairs if (number := self._find(*pair))]
        for source in dict.fromkeys(number.source for number in numbers):
            yield f"published in {source}"
        if numbers:
            marks = [f"({mark}): {meaning}" for mark, meaning in CONFIDENCE.items() if mark != "A"]
            yield f"published numbers are A, {CONFIDENCE['A']}, unless marked {', '.join(marks)}"
            count = SAMPLES[BENCHMARKS[self.dataset]]
            yield f"published numbers are of all {count} images; whether the checkpoints are the same isn't checked"
        for method in dict.fromkeys(method for method, *_ in pairs):
            if any(self._find(*pair) for pair in pairs if pair[0] == method) and (
                others := unofficial(self.methods[method])
            ):
                yield f"{method} was run with other options: {', '.join(others)}"
        for reason in dict.fromkeys(self._obstacle(method, split) for method, split, _ in pairs):
            if reason:
                yield f"no published numbers: {reason}"

    def _find(self, method: str, split: str, metric: str) -> Published | None:
        return self.registry.find(Place(self.dataset, self.protocol, split), self.methods[method], metric)

    def _obstacle(self, method: str, split: str) -> str:
        return self.registry.obstacle(Place(self.dataset, self.protocol, split), self.methods[method])

    @staticmethod
    def _difference(number: Published | None, column: Column, mean: float) -> Cell:
        if number is None or np.isnan(mean):
            return Cell("-")
        return Cell(f"{float(column.printed(mean)) - number.value:+.2f}")
