"""Measure speed, memory and reproducibility of the methods on one GPU, with models of real size and random weights.

    python benchmarks/gpu.py                        # everything, in at most --budget seconds; results in runs/gpu
    python benchmarks/gpu.py --keep                 # results in benchmarks/results, from which docs/speed.md is made
    python benchmarks/gpu.py --parts speed,steps --methods brushnet
    python benchmarks/gpu.py --tiny --device cpu    # try the whole script anywhere, in minutes; numbers mean nothing
    python benchmarks/gpu.py --table                # write docs/speed.md from the stored results
    python benchmarks/gpu.py --batch-sizes FILE     # write the table behind --batch-size auto from a file of results

Methods are called through the public API (`load_method`, `run`, `score`), so that the script survives internal changes.
The exceptions are `naive`, the reference that they are compared with, and `what_if`, which changes the networks of a
loaded method to measure what a change would gain before it is made. Nothing is downloaded.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from on_gpu.batch_sizes import rows_of, usable, write_table
from on_gpu.checks import papercut, same
from on_gpu.columns import BATCHES
from on_gpu.growth import growth_section
from on_gpu.inside import steps, what_if
from on_gpu.machine import machine, models
from on_gpu.models import METHODS
from on_gpu.naive import COMPARED, naive
from on_gpu.results import NO_TIME, Budget, Results
from on_gpu.runs import scoring, whole
from on_gpu.setting import FAST, PLAIN, Measure, Record, Setting
from on_gpu.speed import full, offload, speed
from on_gpu.table import cell, page

from brushbench.core.bars import without_bars
from brushbench.core.capture import Failure, capture
from brushbench.core.errors import one_line
from brushbench.evaluation.batch_size import TABLE

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "speed.md"
NEEDED = ("machine", "models")


@dataclass(frozen=True, slots=True)
class Part:
    """A kind of measurement."""

    measure: Measure
    methods: Callable[[Sequence[str]], Sequence[str]]
    """Choose which of the requested methods it measures; one empty name if it doesn't depend on the method."""


def _each(methods: Sequence[str]) -> Sequence[str]:
    return methods


def _first(methods: Sequence[str]) -> Sequence[str]:
    return methods[:1]


def _compared(methods: Sequence[str]) -> Sequence[str]:
    return [method for method in methods if method in COMPARED]


def _no_method(_: Sequence[str]) -> Sequence[str]:
    return [""]


PARTS = {
    "machine": Part(machine, _no_method),
    "models": Part(models, _no_method),
    "speed": Part(speed, _each),
    "naive": Part(naive, _compared),
    "same": Part(same, _each),
    "offload": Part(offload, _compared),
    "steps": Part(steps, _compared),
    "whole": Part(whole, _first),
    "score": Part(scoring, _no_method),
    "papercut": Part(papercut, _each),
    "full": Part(full, _first),
    "what_if": Part(what_if, _compared),
}
"""The most important first, in case time runs out."""


def measure(
    setting: Setting, results: Results, budget: Budget, chosen: dict[str, Part], methods: Sequence[str]
) -> None:
    """Measure one part after the other; a failure is recorded, and the remaining parts continue."""
    for name, part in chosen.items():
        start = time.monotonic()
        for method in part.methods(methods):
            failure = capture(_measure_one, setting, results, budget, name, method)
            if isinstance(failure, Failure):
                results.failures[f"{name} {method}".strip()] = failure.traceback
                _add(results, budget, name, _of(method) | {"skipped": f"failed: {failure.error}"})
            setting.clean()
        results.seconds[name] = time.monotonic() - start
        results.write()


def _measure_one(setting: Setting, results: Results, budget: Budget, name: str, method: str) -> None:
    measured = PARTS[name].measure(setting, method)
    while not budget.is_over():
        record = next(measured, None)
        if record is None:
            return
        _add(results, budget, name, record)
    _add(results, budget, name, _of(method) | {"skipped": NO_TIME})


def _of(method: str) -> Record:
    return {"method": method} if method else {}


def _add(results: Results, budget: Budget, part: str, record: Record) -> None:
    results.add(part, record)
    told = "  ".join(f"{key}={cell(value)}" for key, value in record.items())
    print(f"[{budget.spent():5.0f} s] {part:9} {told}", flush=True)


def write_page() -> None:
    """Write docs/speed.md from the stored results."""
    parts = [page([Results.read(file) for file in sorted(KEPT.glob("gpu-*.json"))])]
    parts += [f"{section}\n" for section in [growth_section(KEPT / "growth.txt")] if section]
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def write_batch_sizes(file: Path) -> int:
    """brushbench/evaluation/batch_sizes.json, from a file of results; the exit code is 2 for one that can't be used."""
    results = capture(usable, file)
    if isinstance(results, Failure):
        print(one_line(f"gpu.py: --batch-sizes {file}: {results.error}"), file=sys.stderr)
        return 2
    rows = [*rows_of(results)]
    write_table(TABLE, rows)
    for row in rows:
        print(row.model_dump_json())
    return 0


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="Write docs/speed.md and measure nothing.")
    parser.add_argument("--batch-sizes", type=Path, metavar="FILE", help="Write batch_sizes.json from these results.")
    parser.add_argument("--keep", action="store_true", help="Write the results to benchmarks/results.")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "runs" / "gpu", help="Folder for the results without --keep."
    )
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "brushbench-gpu")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--parts", type=_names(tuple(PARTS)), default=[*PARTS], help=f"Some of {','.join(PARTS)}.")
    parser.add_argument("--methods", type=_names(METHODS), default=[*METHODS], help=f"Some of {','.join(METHODS)}.")
    parser.add_argument("--budget", type=float, default=450, help="Seconds after which no measurement begins.")
    parser.add_argument("--batches", type=_numbers, help="Batch sizes, the smallest first.")
    parser.add_argument("--dtypes", type=_texts, help="The first is used for all measurements, the rest for a few.")
    parser.add_argument("--compute", type=_texts, default=(PLAIN, FAST), help="Compute recipes, plain first.")
    parser.add_argument(
        "--compile", action="store_true", help="Also measure torch.compile in `what_if`; takes minutes."
    )
    parser.add_argument("--tiny", action="store_true", help="Use tiny models and images, to try the script.")
    asked = parser.parse_args(given)
    if asked.keep and (asked.tiny or not asked.device.startswith("cuda")):
        parser.error("--keep is only for a GPU and without --tiny")
    return asked


def _names(valid: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = text.split(",")
        if wrong := sorted({*found} - {*valid}):
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)}; valid: {', '.join(valid)}")
        return found

    return names


def _texts(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def setting_of(asked: argparse.Namespace) -> Setting:
    """Choose the sizes and dtypes to measure."""
    cuda = asked.device.startswith("cuda")
    return Setting(
        device=asked.device,
        work=asked.work,
        tiny=asked.tiny,
        size=64 if asked.tiny else 512,
        steps=6 if asked.tiny else 50,
        short=(2, 4) if asked.tiny else (4, 12),
        batches=asked.batches or ((1, 2) if asked.tiny else BATCHES),
        dtypes=asked.dtypes or (("float16", "bfloat16") if cuda else ("float32",)),
        computes=asked.compute,
        samples=4 if asked.tiny else 96,
        compiled=asked.compile,
    )


def main(given: Sequence[str] | None = None) -> int:
    """Run the script; the exit code is 1 if a part failed."""
    asked = _arguments(given)
    if asked.table:
        write_page()
        return 0
    if asked.batch_sizes:
        return write_batch_sizes(asked.batch_sizes)
    setting, budget = setting_of(asked), Budget(asked.budget)
    results = Results.begin(setting, KEPT if asked.keep else asked.out)
    chosen = {name: part for name, part in PARTS.items() if name in (*NEEDED, *asked.parts)}
    with without_bars():
        measure(setting, results, budget, chosen, asked.methods)
    print(f"\n{page([results])}\n{results.file}", flush=True)
    return int(bool(results.failures))


if __name__ == "__main__":
    sys.exit(main())
