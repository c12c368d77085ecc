"""Write docs/speed.md from the stored results: every number in it comes from the script that measured it."""

from collections.abc import Iterable, Iterator, Sequence

from on_gpu.columns import TABLES, Table
from on_gpu.results import Results
from on_gpu.setting import Record, Value
from on_gpu.speed import CAPS

_CAPS = " or ".join(map(str, CAPS))
HEAD = f"""# Speed on a GPU

`python benchmarks/gpu.py` measures in one run how many images per second each method generates, how much memory it
needs, which share of the card's own rate of matrix products it reaches, and how it compares with generating one image
at a time in diffusers' own pipeline and in the loop of BrushNet's official script. `python benchmarks/gpu.py --table`
writes this page from `benchmarks/results/gpu-*.json`, and a test compares the two: no number was typed by hand.

```sh
python benchmarks/gpu.py --keep                   # everything, on this machine's GPU; stored for this page
python benchmarks/gpu.py --parts speed,naive --methods brushnet --batches 16,32
python benchmarks/gpu.py --keep --parts what_if --compile --methods brushnet    # torch.compile takes minutes
python benchmarks/gpu.py --tiny --device cpu      # try the script on any machine; these results mean nothing
python benchmarks/gpu.py --table                  # write this page again
```

* **Nothing is downloaded.** The models (Stable Diffusion 1.5, the methods built on it and the metrics' networks) have
  their published sizes and random weights, made at the first start in `--work`. Times and memory are those of the real
  models; images are noise. For a machine without a network, collect the packages elsewhere with `pip download` and
  install them with `pip install --no-index`; copy its file of results to `benchmarks/results`.
* **A budget.** No measurement begins after `--budget` seconds, and the file of results is complete after each one, so a
  run that is stopped keeps its results. The most important parts come first. If a part fails, the failure is recorded,
  the remaining parts continue, and the exit code is 1.
* **Images per second** are for a call with all steps. They are extrapolated from two calls with few steps, each timed
  twice when everything is warm, of which the faster counts; the table "All steps" compares them with one whole call.
* **`fast`** is measured beside `plain`, or alone with `--compute fast`: channels_last, compiled blocks and decoder, and
  cuDNN attention where it applies ([runs.md](runs.md)). CUDA graphs aren't part of it.
* **The first call** loads kernels and, with `fast`, compiles them, once for each batch size; "only once" is how much
  longer it took than the same call later. Compiled code is kept, so a second run on the same machine compiles little.
* **Share of the matrix rate** is the number of floating-point operations of matrix products, convolutions and attention
  per image, times images per second, divided by the rate that the same card reached in the same run with products of
  large square bfloat16 matrices.
* **Memory** is the peak of the memory allocated for tensors. A cap of {_CAPS} GB leaves room for CUDA's own memory.
* **Compare only results of one card**, and ratios rather than seconds.

`-` means not measured: no card was available, time was up, or the column doesn't apply.
"""


def page(kept: Sequence[Results]) -> str:
    """Return the whole page; without results, its tables are empty."""
    sections = [line for results in kept for line in _section(results)] or [*_blank_section()]
    return "\n".join([HEAD, *sections]).rstrip() + "\n"


def _section(results: Results) -> Iterator[str]:
    about = {key: value for key, value in results.about.items() if value not in ("-", "not installed")}
    yield f"## {about.pop('card')}, {about.pop('date')}"
    yield ""
    yield f"With {', '.join(f'{name} {version}' for name, version in about.items())}; {_asked(results.setting)}."
    yield ""
    for table in TABLES:
        yield from _lines(table, shown(results, table.part) or table.blank)


def _blank_section() -> Iterator[str]:
    yield "## No card yet"
    yield ""
    yield "There are no results in `benchmarks/results`."
    yield ""
    for table in TABLES:
        yield from _lines(table, table.blank)


def _asked(setting: dict[str, object]) -> str:
    return "{size} x {size} pixels, {steps} steps, extrapolated from {short[0]} and {short[1]}".format(**setting)


def _lines(table: Table, rows: Sequence[Record]) -> Iterator[str]:
    notes = {"skipped": "note"} if any("skipped" in row for row in rows) else {}
    columns = {**table.columns, **notes}
    yield f"### {table.title}"
    yield ""
    if table.text:
        yield table.text
        yield ""
    yield _line(columns.values())
    yield "|" + "---|" * len(columns)
    yield from (_line(cell(row.get(key)) for key in columns) for row in rows)
    yield ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cell(value: Value) -> str:
    """Format a value for a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def shown(results: Results, part: str) -> list[Record]:
    """Return a part's records, with values derived from other parts of the same run."""
    derived = {"speed": _with_share, "naive": _with_ratios, "full": _with_extrapolated}.get(part)
    records = results.records.get(part, [])
    return [record | derived(results, record) for record in records] if derived else records


def _with_share(results: Results, record: Record) -> Record:
    rates = [each["matmul_tflop_s"] for each in results.records.get("machine", ()) if "matmul_tflop_s" in each]
    if not rates or not {"images_s", "tflop_image"} <= record.keys():
        return {}
    return {"share": record["images_s"] * record["tflop_image"] / rates[0]}


def _with_ratios(results: Results, record: Record) -> Record:
    """Compare with the suite in the same dtype: the best of all recipes, and batch 1 by the recipe `plain`."""
    ours = [
        each
        for each in results.records.get("speed", ())
        if "images_s" in each and all(each[key] == record.get(key) for key in ("method", "dtype"))
    ]
    if not ours or "images_s" not in record:
        return {}
    best = max(ours, key=lambda each: each["images_s"])
    alone = [each["images_s"] for each in ours if each["batch"] == 1][:1]
    return {
        "alone_ratio": alone[0] / record["images_s"] if alone else None,
        "best_ratio": best["images_s"] / record["images_s"],
        "best": f"batch {best['batch']}, {best['compute']}",
    }


def _with_extrapolated(results: Results, record: Record) -> Record:
    same = ("method", "dtype", "compute", "batch")
    found = [
        each.get("images_s")
        for each in results.records.get("speed", ())
        if all(each.get(key) == record.get(key) for key in same)
    ]
    return {"extrapolated": found[0]} if found else {}
