"""The means of one run as plain numbers by name, for trackers of experiments."""

import math

from brushbench.reports.summary import summarise
from brushbench.runs.folder import Run


def run_means(run: Run) -> dict[str, int | float]:
    """Return `psnr/mean`, `psnr/low`, `psnr/high` and `psnr/n`, the samples in the mean, for every metric of a run.

    A number that can't be computed is left out, such as the interval of few samples. A region is a part of the name:
    `ssim.whole/mean`, as not every tracker allows `@`. Empty for a run without scores.
    """
    if not run.scores_path().exists():
        return {}
    found: dict[str, int | float] = {}
    for row in summarise([run]).rows.to_dict("records"):
        name = str(row["metric"]).replace("@", ".")
        ends = {end: float(row[end]) for end in ("mean", "low", "high")}
        found |= {f"{name}/{end}": value for end, value in ends.items() if math.isfinite(value)}
        found[f"{name}/n"] = int(row["n_scored"])
    return found
