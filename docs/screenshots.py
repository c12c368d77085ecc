"""Take the pictures of docs/gallery.md: grid and detail, dark and light.

python docs/screenshots.py              # makes the runs too, five minutes on a CPU
python docs/screenshots.py --runs DIR   # of runs that are there
"""

import argparse
import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
METHODS = "brushnet,controlnet,blended-latent,telea"
RUN = ("--method", METHODS, "--dataset", "papercut", "--limit", "24", "--steps", "20")
VIEW = "#metric=papercut-clip&a=brushnet&b=telea&ref=telea&sort=advantage"
SHOTS = {
    "gallery-grid": "",
    "gallery-detail": "&open={sample}&overlay=outline",
}
LARGEST, QUALITIES = 300_000, (90, 80, 70, 60)
"""Bytes of a picture, and WebP's qualities from which the first that is small enough is taken."""


def main() -> None:
    """Make what is shown, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, metavar="DIR")
    given = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        runs = given or Path(folder) / "runs"
        if not given:
            suite("run", *RUN, "--output", str(runs))
        suite("gallery", str(runs), "-o", str(Path(folder) / "gallery"))
        shoot(Path(folder) / "gallery" / "index.html")


def suite(*arguments: str) -> None:
    """Call the command line."""
    subprocess.run([sys.executable, "-m", "brushbench", *arguments], check=True, stdout=subprocess.DEVNULL)


def shoot(page: Path) -> None:
    """Write every picture in both colour schemes."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from browser import Visit, started

    with started() as browser:
        for name, more in SHOTS.items():
            for scheme in ("light", "dark"):
                visit = Visit(browser, page, dark=scheme == "dark", hash_=VIEW)
                sample = visit.page.evaluate("Gallery.grid.nameOf(Gallery.grid.rows[0])")
                visit.open(VIEW + more.format(sample=sample))
                visit.page.wait_for_timeout(1500)
                write(HERE / f"{name}-{scheme}.webp", visit.page.screenshot())
                visit.close()


def write(file: Path, shot: bytes) -> None:
    """Write a picture as WebP, no larger than the repository takes."""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(shot)) as image:
            image.convert("RGB").save(buffer, format="WEBP", quality=quality, method=6)
        if len(buffer.getvalue()) <= LARGEST:
            file.write_bytes(buffer.getvalue())
            return
    raise SystemExit(f"{file} is over {LARGEST} bytes")


if __name__ == "__main__":
    main()
