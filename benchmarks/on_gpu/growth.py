"""The part of docs/speed.md that says how commands grow with the number of samples, from what growth.py has stored."""

from pathlib import Path

HEAD = """## Growth with the number of samples

`python benchmarks/growth.py --write` measures this on any machine, without a GPU, and stores its tables in
`benchmarks/results/growth.txt`, from which this part is written. It makes complete, scored runs of up to 100,000
samples, and runs each command in a process of its own. It fails if an exponent is above its limit (1 is linear growth,
2 is quadratic), or if `compare` needs more memory than it may.

* **CPU-seconds** are those of all threads, with the system's. An exponent is the slope between two sizes on logarithmic
  scales, after the time or memory for ten samples, which is the command's start, is subtracted. It is `-` where too
  little is left to tell it from noise, or where nothing was measured.
* **Memory** is the peak of resident memory. About 640 MiB are PyTorch and the libraries that it loads, which no command
  that opens images does without.
* **The pictures are tiny**, hard links to a few of 24 x 24 pixels, as only the number of samples is to matter: reading,
  hashing and thumbnails of real ones come on top, in proportion to their size. A gallery has few different thumbnails.
* **Not measured**: generating images and computing scores, which take as long per sample as the method and the metrics
  do; runs with many failures; more than two runs; a cluster, an object store, and network file systems. Formats and
  figures that do the same work as another command are measured up to 10,000 samples.
* The machine was shared with other processes, which can make a command up to twice as slow as it would be alone.
"""


def growth_section(file: Path) -> str:
    """Return the part of the page; empty if nothing is stored."""
    if not file.exists():
        return ""
    command, _, *tables = file.read_text(encoding="utf-8").splitlines()
    return "\n".join([HEAD, "```sh", command, "```", "", *tables])
