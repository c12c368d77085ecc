"""The tables of the stored small set of runs, in every format. After a change that is meant to change them:

    python tests/report_goldens.py

writes them again.

`runs/papercut-*` are real runs of PaperCut (`run --method brushnet,sd-inpainting,telea --dataset papercut --split
inside,outside,brush --limit 8`) without their images. `published/` holds runs with made-up scores, near to published
rows, of the paper's data set and protocol. `terminal/` has tables with nine metrics as terminals of four widths show
them, with the codes of their styles (`cat` them); `terminal_commands/` has what `check`, `check --write`, `compare` and
`report --votes` print in them.
"""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from report_runs import Made, plausible, with_images
from rich.console import Console

from brushbench.reports.baseline_making import baseline_of
from brushbench.reports.comparison import compare
from brushbench.reports.formats import render, shown
from brushbench.reports.formats.comparison import terminal_comparison
from brushbench.reports.formats.gate import terminal_baseline, terminal_gate
from brushbench.reports.formats.terminal import terminal_tables
from brushbench.reports.formats.votes import terminal_votes
from brushbench.reports.gate_formats import Outcome
from brushbench.reports.regression import check_runs
from brushbench.reports.tables import TableOptions, make_report
from brushbench.reports.votes import Vote
from brushbench.runs.folders import expand

HERE = Path(__file__).parent / "golden" / "reports"
SUFFIXES = {"text": "txt", "markdown": "md", "latex": "tex", "csv": "csv", "json": "json", "html": "html"}
TABLES = {
    "paper": ("runs", TableOptions("paper")),
    "summary": ("runs", TableOptions("summary")),
    "ablation": ("runs", TableOptions("ablation", significant=True)),
    "by_source": ("runs", TableOptions("paper", by="source")),
    "published": ("published", TableOptions("paper", with_published=True)),
    "published_ablation": ("published", TableOptions("ablation", with_published=True)),
}
DIFFUSION = {"steps": 50, "guidance": 7.5}
METHODS = {
    "brushnet": DIFFUSION | {"blend": "blur", "blur": 21, "scale": 1.0},
    "sd-inpainting": DIFFUSION | {"blend": "none", "steps": 20},
    "telea": {"radius": 3.0},
}
GATED = ("mine", "copy", "a method with quite a long name")
WIDTHS, COUNTS = (60, 80, 120, 200), (1, 3, 10)
NINE = {
    "psnr": (25.0, 3.0),
    "mse": (0.004, 0.001),
    "lpips": (0.05, 0.02),
    "ssim": (0.9, 0.03),
    "ssim@whole": (0.8, 0.05),
    "seam": (1.5, 0.6),
    "clip": (26.0, 2.0),
    "hps": (0.27, 0.01),
    "image-reward": (1.2, 0.3),
}
TEN = (
    *(("brushnet", {"scale": 0.8, "blend": "blur"}), ("sd-inpainting", {}), ("telea", {}), ("copy", {})),
    *(("brushnet", {"scale": 1.0, "blend": "none"}), ("powerpaint", {}), ("hd-painter", {}), ("controlnet", {})),
    *(("blended-latent", {}), ("mine", {})),
)


def terminals() -> dict[str, str]:
    """The tables of one, three and ten methods in terminals of every width, by file name."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = [_nine(seed, *each).write(Path(folder) / str(seed)) for seed, each in enumerate(TEN)]
        for count in COUNTS:
            tables = shown(make_report(runs[:count], TableOptions()))
            for width in WIDTHS:
                text = terminal_tables(tables, terminal(width))
                found[f"{width}-columns-{count}-method{'s' * (count > 1)}.txt"] = text + "\n"
    return found


def commands() -> dict[str, str]:
    """What other commands than `report` print in terminals of every width, by file name."""
    with tempfile.TemporaryDirectory() as folder:
        before = [with_images(gated(method, 0).write(Path(folder) / method)) for method in GATED]
        after = [with_images(gated(method, 1).write(Path(folder) / f"{method} now")) for method in GATED[:2]]
        baseline = baseline_of(before, [], None, {})
        outcome = Outcome(*check_runs(after, baseline))
        compared = compare(before[:1], after[:1], 0)
    votes = [
        Vote(("papercut", "strict", "inside", f"{place:09d}"), GATED[place % 3], GATED[(place + 1) % 3], choice)
        for place, choice in enumerate(("left", "right", "tie", "left", "left", "right", "tie", "left", "right"))
    ]
    made: dict[str, Callable[[Console], str]] = {
        "check": lambda console: terminal_gate(outcome, console),
        "baseline": lambda console: terminal_baseline(baseline, console),
        "compare": lambda console: terminal_comparison(compared, console),
        "votes": lambda console: terminal_votes(votes, console),
    }
    return {
        f"{width}-columns-{name}.txt": f"{render_in(terminal(width))}\n"
        for name, render_in in made.items()
        for width in WIDTHS
    }


def gated(method: str, changed: int) -> Made:
    """A run before or after a change: `mine` gets better here and worse there, and loses a sample."""
    generator = np.random.default_rng(GATED.index(method))
    scores: dict[str, list[float | None]] = {
        name: list(generator.normal(*each, 40).round(6)) for name, each in NINE.items()
    }
    if changed and method == "mine":
        shifts = {"psnr": -1.5, "mse": -0.002, "lpips": 0.02, "image-reward": 0.4}
        scores |= {name: [value + shift for value in scores[name] if value] for name, shift in shifts.items()}
        scores["hps"] = list(generator.normal(*NINE["hps"], 40).round(6))
        scores = {name: [*values[:-1], None] for name, values in scores.items()}
    if method == "copy":
        scores |= {"psnr": [float("inf")] * 40, "mse": [0.0] * 40}
    return Made(method, scores, options={"scale": 1.0 - 0.2 * changed} if method == "mine" else {})


def terminal(width: int, **more: object) -> Console:
    """A terminal of this width, whatever that of the tests is."""
    options = {"color_system": "standard", "force_terminal": True, "legacy_windows": False, "_environ": {}} | more
    # Any: the options of a console by name.
    return Console(file=io.StringIO(), width=width, **options)


def _nine(seed: int, method: str, options: dict[str, object]) -> Made:
    generator = np.random.default_rng(seed)
    scores: dict[str, list[float | None]] = {
        name: list(generator.normal(*each, 12).round(6)) for name, each in NINE.items()
    }
    if method == "mine":
        scores = {name: [*values[:-1], None] for name, values in scores.items()}
    if method == "copy":
        scores |= {"psnr": [float("inf")] * 12, "mse": [0.0] * 12}
    return Made(method, scores, options=options)


def texts() -> dict[str, str]:
    """Every table in every format, by file name."""
    found = {}
    for name, (folder, wanted) in TABLES.items():
        made = make_report(expand([HERE / folder]), wanted)
        for table_format, suffix in SUFFIXES.items():
            found[f"{name}.{suffix}"] = render(made, table_format) + "\n"
    return found


def write_runs() -> None:
    """Write the runs with made-up scores."""
    tags = {"source": ["natural", "artificial"] * 4, "subject": ["human", "animal", "indoor", "outdoor"] * 2}
    shares = [0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.25, 0.12]
    for seed, (method, options) in enumerate(METHODS.items()):
        for place, split in enumerate(("inside", "outside")):
            run = Made(
                method,
                plausible(8, 10 * seed + place),
                split=split,
                protocol="paper",
                options=options,
                tags=tags,
                mask_shares=shares,
            )
            folder = HERE / "published" / f"brushbench-{split}"
            folder.mkdir(parents=True, exist_ok=True)
            written = run.write(folder / method)
            (written.path / ".lock").unlink()
            (written.path / "images").rmdir()


if __name__ == "__main__":
    if not (HERE / "published").exists():
        write_runs()
    (HERE / "tables").mkdir(exist_ok=True)
    for name, text in texts().items():
        (HERE / "tables" / name).write_text(text, encoding="utf-8")
    for folder, found in (("terminal", terminals()), ("terminal_commands", commands())):
        (HERE / folder).mkdir(exist_ok=True)
        for name, text in found.items():
            (HERE / folder / name).write_text(text, encoding="utf-8")
