"""docs/speed.md, from the results that are kept: every number in it was written by the script that measured it."""

from collections.abc import Iterable, Iterator, Sequence

from on_gpu.columns import TABLES, Table
from on_gpu.results import Results
from on_gpu.setting import Record, Value
from on_gpu.speed import CAPS

_CAPS = " or ".join(map(str, CAPS))
HEAD = f"""# Speed on a GPU

What `python benchmarks/gpu.py` measures, all in one run: how many images per second each method generates, how much
memory that takes, what share it is of the card's own rate of matrix products, and how it compares with one image at a
time in diffusers' own pipeline and in the loop of BrushNet's official script. `python benchmarks/gpu.py --table` writes
this page from `benchmarks/results/gpu-*.json`, and a test compares the two: no measured number was typed by hand.

```sh
python benchmarks/gpu.py --keep                   # everything, on this machine's GPU; kept for this page
python benchmarks/gpu.py --parts speed,naive --methods brushnet --batches 16,32
python benchmarks/gpu.py --keep --parts what_if --compile --methods brushnet    # torch.compile takes minutes
python benchmarks/gpu.py --tiny --device cpu      # try the script on any machine; these results mean nothing
python benchmarks/gpu.py --table                  # write this page again
```

* **Nothing is downloaded.** Models have the published sizes (Stable Diffusion 1.5 and what stands on it, the metrics'
  networks) and random weights, made at the first start in `--work`. Times and memory are those of the real models;
  images are noise. A machine without a network needs what `pip download` brought elsewhere (`pip install --no-index`),
  and its results are one file, to be copied to `benchmarks/results`.
* **A budget.** No measurement begins after `--budget` seconds, and the file of results is complete after each, so a run
  that is stopped keeps what it has. The parts come in the order of what matters most. A part that fails is
  recorded and the others go on; the exit code is then 1.
* **Images per second** are for a call with all steps; they are extrapolated from two calls with few steps, each the
  fastest of two when everything is warm, and the table "All steps" holds one whole call against that.
* **`fast`** is measured beside `plain`, or alone with `--compute fast`: channels_last, compiled blocks and decoder,
  attention by cuDNN where it can ([runs.md](runs.md)). CUDA graphs are no part of it.
* **The first call** loads kernels, and by `fast` compiles them, once for each batch size; "only once" is how much
  longer it took than the same call later. Compiled code is kept, so a second run on the same machine compiles little.
* **Share of the matrix rate** is the floating-point operations of matrix products, convolutions and attention in an
  image, counted, times images per second, divided by what the same card did in the same run in products of large
  square bfloat16 matrices.
* **Memory** is what tensors took at most. A cap of {_CAPS} GB leaves room for what CUDA itself takes.
* **Compare only within a card**, and ratios rather than seconds.

`-` means not measured: no card was at hand, time was up, or the column has no meaning there.
"""


def page(kept: Sequence[Results]) -> str:
    """The whole page; without results, its tables are there and empty."""
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
    """The text of a value in a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def shown(results: Results, part: str) -> list[Record]:
    """The records of a part, with what follows from those of other parts of the same run."""
    derived = {"speed": _with_share, "naive": _with_ratios, "full": _with_extrapolated}.get(part)
    records = results.records.get(part, [])
    return [record | derived(results, record) for record in records] if derived else records


def _with_share(results: Results, record: Record) -> Record:
    rates = [each["matmul_tflop_s"] for each in results.records.get("machine", ()) if "matmul_tflop_s" in each]
    if not rates or not {"images_s", "tflop_image"} <= record.keys():
        return {}
    return {"share": record["images_s"] * record["tflop_image"] / rates[0]}


def _with_ratios(results: Results, record: Record) -> Record:
    """Ours in the same dtype; the best one by any recipe, the one at batch 1 as the recipe `plain` has it."""
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
