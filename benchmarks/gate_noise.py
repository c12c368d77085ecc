"""Measure how far a rerun on another machine moves the means: the noise floor of `brushbench check` in docs/ci.md.

    python benchmarks/gate_noise.py --output runs/noise     # about three minutes on one core; rerun to resume

BrushNet on `papercut` in float32 is compared with runs with other batches, without this CPU's vector instructions, and
in half precision, which changes more than any rerun. The table has the end of the 95 % interval of the mean paired
difference that is farther from 0.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from tabulate import tabulate

import brushbench
from brushbench.reports.baseline_making import NOISE
from brushbench.reports.statistics import difference_interval

SAMPLES = 48
GENERIC = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
VARIATIONS: dict[str, tuple[list[str], dict[str, str]]] = {
    "float32": ([], {}),
    "batches of 3": (["--batch-size", "3"], {}),
    "other CPU": ([], GENERIC),
    "float16": (["--dtype", "float16"], {}),
    "bfloat16": (["--dtype", "bfloat16"], {}),
}


def main() -> None:
    """Make the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/noise"))
    output = parser.parse_args().output
    scores = {}
    for name, (options, environment) in VARIATIONS.items():
        folder = output / name.replace(" ", "-")
        arguments = ["--method", "brushnet", "--dataset", "papercut", "--device", "cpu", "--limit", str(SAMPLES)]
        command = [sys.executable, "-m", "brushbench", "run", *arguments, "--output", str(folder), *options]
        subprocess.run(command, check=True, env=os.environ | environment, stdout=subprocess.DEVNULL)
        tidy = brushbench.frame(folder)
        scores[name] = tidy.pivot_table(index="sample", columns="metric", values="value", sort=False)
    reference = scores.pop("float32")
    rows = []
    for metric in reference.columns:
        bounds = []
        for other in scores.values():
            found = difference_interval((other[metric] - reference[metric]).to_numpy(dtype=np.float64))
            bounds.append(f"{max(abs(found.low), abs(found.high)):.1e}")
        rows.append([metric, *bounds, f"{NOISE[metric.partition('@')[0]]:g}"])
    print(tabulate(rows, ["metric", *scores, "floor"], tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
