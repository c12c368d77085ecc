"""The tables of the stored small set of runs, in every format. After a change that is meant to change them:

    python tests/report_goldens.py

writes them again.

`runs/papercut-*` are real runs of PaperCut (`run --method brushnet,sd-inpainting,telea --dataset papercut --split
inside,outside,brush --limit 8`) without their images. `published/` holds runs with made-up scores, near to published
rows, of the paper's data set and protocol.
"""

from pathlib import Path

from report_runs import Made, plausible

from brushbench.reports.formats import render
from brushbench.reports.tables import TableOptions, make_report
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
