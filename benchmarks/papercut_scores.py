"""Make real scores for testing the statistics: four methods on all scenes of PaperCut, as a small table.

    python benchmarks/papercut_scores.py --runs runs/scores --lpips-backbone alexnet.safetensors

Generates the images that the run folders lack (about ten minutes on one core), scores them, and writes
`results/papercut_scores.csv`, which `benchmarks/type_one_error.py` reads. LPIPS is included if a backbone is given: a
safetensors file of the feature layers of torchvision's AlexNet.
"""

import argparse
from pathlib import Path

import pandas as pd

import brushbench
from brushbench.runs.folder import Run
from brushbench.runs.scores import read_scores

METHODS = ("brushnet", "sd-inpainting", "blended-latent", "controlnet")
METRICS = ("psnr", "mse", "ssim", "ssim@whole", "seam", "papercut-clip")
FILE = Path(__file__).parent / "results" / "papercut_scores.csv"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/scores"))
    parser.add_argument("--lpips-backbone", type=Path)
    arguments = parser.parse_args()
    metrics, options = list(METRICS), {}
    if arguments.lpips_backbone:
        metrics.append("lpips")
        options = {"lpips": {"net": "alex", "backbone": str(arguments.lpips_backbone)}}
    tables, versions = [], {}
    for method in METHODS:
        folder = arguments.runs / "papercut-inside" / method
        if not (folder / "run.json").is_file():
            brushbench.run(brushbench.RunConfig(method, "papercut", output=arguments.runs, metrics=list(METRICS)))
        brushbench.score(folder, metrics, metric_options=options)
        scores = read_scores(Run.open(folder))
        if scores is None:
            raise SystemExit(f"{folder} has no scores")
        table = scores.table[metrics].astype("Float64").reset_index()
        tables.append(table.assign(method=method)[["method", "id", *metrics]])
        versions |= {name: scores.metrics[name].version for name in metrics}
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(f"# versions: {told}\n" + pd.concat(tables).to_csv(index=False, float_format="%.7g"))
    print(f"{FILE}: {sum(map(len, tables))} rows, {FILE.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
