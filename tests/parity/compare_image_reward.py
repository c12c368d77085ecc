"""Run by tox's `parity` after the official package: ours on the same weights must give the same scores.

python tests/parity/compare_image_reward.py FOLDER
"""

import json
import sys
from pathlib import Path

import brushbench
from brushbench.core.types import Batch, Sample
from brushbench.imaging.images import read_image

PHOTOS = Path(__file__).parent.parent / "golden" / "metrics" / "photos"
TOLERANCE = 1e-5


def main(folder: Path) -> None:
    """Print the largest difference; exit code 1 if it is over the tolerance, or if all scores are alike."""
    metric = brushbench.load_metric("image-reward", checkpoint=folder, device="cpu")
    rows = json.loads((folder / "scores.json").read_text())
    apart = []
    for row in rows:
        image = read_image(PHOTOS / f"{row['photo']}.png")
        batch = Batch.of([Sample("one", image, image[:1] > 255, row["caption"])])
        apart.append(abs(metric(batch, batch.images).item() - row["score"]))
    scores = [row["score"] for row in rows]
    spread = max(scores) - min(scores)
    print(f"{len(rows)} scores, {spread:.3g} between them, at most {max(apart):.3g} from the official package's")
    if max(apart) > TOLERANCE or spread < 100 * TOLERANCE:
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
