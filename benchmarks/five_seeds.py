"""Generate PaperCut's scenes by four methods under five seeds, and write what the statistics say about them.

    python benchmarks/five_seeds.py --runs runs/five-seeds [--seeds 5] [--scenes 200] [--write]

Generates the images that the run folders lack, seed after seed, so that it can be stopped and started again. With
--write, the tables are stored in benchmarks/results/five_seeds.txt, and the figure in docs/best_of_n.webp.
"""

import argparse
import io
import json
from pathlib import Path

import brushbench
from brushbench.reports.evidence.tables import KINDS, evidence
from brushbench.reports.formats.listing import render_listing
from brushbench.reports.style import Style
from brushbench.reports.variance_tables import render_variances, variances_of
from brushbench.runs.folders import expand

METHODS = ("brushnet", "sd-inpainting", "blended-latent", "controlnet")
METRICS = ("psnr", "mse", "ssim", "seam", "papercut-clip")
TABLES = Path(__file__).parent / "results" / "five_seeds.txt"
FIGURE = Path(__file__).parents[1] / "docs" / "best_of_n.webp"
DRAWN = "papercut-clip"


def generated(runs: Path, seeds: int, scenes: int) -> None:
    """Generate and score what the run folders lack."""
    for seed in range(1, seeds + 1):
        for method in METHODS:
            folder = runs / f"seed={seed}"
            config = brushbench.RunConfig(
                method, "papercut", output=folder, metrics=list(METRICS), seed=seed, limit=scenes
            )
            brushbench.run(config)


def tables(runs: Path) -> str:
    """Return the variance components and all tables over seeds."""
    found = expand([runs])
    parts = [f"components\n\n{render_variances(variances_of(found, Style()), 'text')}"]
    parts += [f"{kind}\n\n{render_listing(evidence(found, kind, Style()), 'text')}" for kind in KINDS]
    return "\n\n\n".join(parts)


def draw(runs: Path, file: Path) -> None:
    """Draw the best and the mean of n seeds, with the interval of the best."""
    from matplotlib.figure import Figure
    from PIL import Image

    rows = json.loads(render_listing(evidence(expand([runs]), "best-of-n", Style()), "json"))
    figure = Figure(figsize=(5, 3), dpi=130, layout="constrained")
    axes = figure.subplots()
    for place, method in enumerate(METHODS):
        own = [row for row in rows if (row["method"], row["metric"]) == (method, DRAWN)]
        counts, scale, colour = [row["n"] for row in own], own[0]["scale"], f"C{place}"
        axes.plot(counts, [scale * row["best"] for row in own], "o-", color=colour, label=method, markersize=3)
        ends = ([scale * row[end] for row in own] for end in ("low", "high"))
        axes.fill_between(counts, *ends, color=colour, alpha=0.15, linewidth=0)
        axes.plot(counts, [scale * row["mean"] for row in own], ":", color=colour, linewidth=1)
    axes.set(xlabel="seeds for each image", ylabel=DRAWN, xticks=counts)
    axes.legend(frameon=False, fontsize="small", title="best of n, dotted: mean", title_fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    Image.open(buffer).convert("RGB").save(file, "WEBP", lossless=True, method=6)


def main() -> None:
    """Generate the images, then print or write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/five-seeds"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    generated(arguments.runs, arguments.seeds, arguments.scenes)
    size = f"--seeds {arguments.seeds} --scenes {arguments.scenes}"
    text = f"$ python benchmarks/five_seeds.py {size}\n\n{tables(arguments.runs)}"
    print(text)
    if arguments.write:
        TABLES.write_text(f"{text}\n", encoding="utf-8")
        draw(arguments.runs, FIGURE)


if __name__ == "__main__":
    main()
