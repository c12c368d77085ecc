"""The table by which `--batch-size auto` is chosen, from results: each method's fastest batch of those measured."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from brushbench.core import atomic
from brushbench.core.errors import UserError
from brushbench.evaluation.batch_size import MeasuredBatch
from on_gpu.models import FAMILY
from on_gpu.results import Results
from on_gpu.setting import PLAIN, Record

WORTH = 1.02
"""A larger batch, which needs more memory, must be so many times as fast."""


def usable(file: Path) -> Results:
    """Read results. Raises `UserError` for those that say nothing of a GPU: of tiny models, or from the CPU."""
    results = Results.read(file)
    if results.setting["tiny"]:
        raise UserError("results of tiny models; valid: results of real size from a GPU")
    if not str(results.setting["device"]).startswith("cuda"):
        raise UserError("results from the CPU; valid: results of real size from a GPU")
    return results


def rows_of(results: Results) -> Iterator[MeasuredBatch]:
    """A row for each method and dtype of which several batch sizes were measured, by the recipe `plain`.

    A method whose measurements were cut short is left out: a batch that wasn't reached may be the fastest.
    """
    records = results.records.get("speed", [])
    size = int(str(results.setting["size"]))
    cut_short = {record["method"] for record in records if "skipped" in record and "batch" not in record}
    kinds = dict.fromkeys((record["method"], record["dtype"]) for record in records if record.get("compute") == PLAIN)
    for method, dtype in kinds:
        of_kind = {"method": method, "dtype": dtype, "compute": PLAIN}
        found = [record for record in records if of_kind.items() <= record.items()]
        if method in cut_short or len(found) < 2 or not (best := _best(found)):
            continue
        yield MeasuredBatch(
            method=str(method),
            family=FAMILY,
            height=size,
            width=size,
            dtype=str(dtype),
            batch_size=int(best["batch"]),
            peak_bytes=math.ceil(best["peak_gb"] * 1e9),
        )


def _best(records: Sequence[Record]) -> Record | None:
    """The smallest batch that no larger one surpasses by 2 % or more; None if none fitted into the memory."""
    measured = sorted((record for record in records if "images_s" in record), key=lambda record: record["batch"])
    fastest = max((record["images_s"] for record in measured), default=0)
    return next((record for record in measured if record["images_s"] * WORTH > fastest), None)


def write_table(file: Path, rows: Sequence[MeasuredBatch]) -> None:
    """Add rows to a table, each in the place of an older one for the same."""
    kept = [MeasuredBatch.model_validate(row) for row in json.loads(file.read_text())] if file.exists() else []
    table = {row.key: row for row in (*kept, *rows)}
    lines = [row.model_dump_json() for _, row in sorted(table.items())]
    atomic.write(file, ("[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n").encode())
