"""Draw the test scenes and write them in BrushBench's format.

python -m brushbench.baselines.papercut.world.make FOLDER
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from brushbench.baselines.papercut.world.render import render_scene
from brushbench.baselines.papercut.world.scene import STYLES, Scene, combinations, draw_scene
from brushbench.imaging.masks import encode_rle

COUNT = 200
FIRST_SEED = 1 << 32
"""The first test scene's seed; seeds of training scenes are lower."""
DILATION = 5
"""Kernel in pixels that dilates the object's mask by two pixels on each side, so that its edge is inpainted too."""
SOURCES = dict(zip(STYLES, ("artificial", "natural"), strict=True))


def test_scenes() -> Iterator[Scene]:
    """The test scenes; every other one shows a combination of object, colour and place that is held out of training."""
    draw = np.random.default_rng(FIRST_SEED)
    pools = [combinations(held_out=True), combinations(held_out=False)]
    orders = [draw.permutation(len(pool)) for pool in pools]
    for index in range(COUNT):
        pool, order = pools[index % 2], orders[index % 2]
        yield draw_scene(FIRST_SEED + index, pool[order[index // 2]])


def write_test_scenes(folder: Path) -> None:
    """Write `images/` and `mapping_file.json`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    mapping = {}
    for index, scene in enumerate(test_scenes()):
        name = f"{index:09d}"
        image, mask = render_scene(scene)
        Image.fromarray(image).save(folder / "images" / f"{name}.png", optimize=True)
        widened = widen(mask)
        mapping[name] = {
            "image": f"images/{name}.png",
            "caption": scene.caption,
            "inpainting_mask": encode_rle(widened),
            "outpainting_mask": encode_rle(~widened),
            "tags": {
                "source": SOURCES[scene.style],
                "object": scene.thing,
                "colour": scene.colour,
                "place": scene.place,
                "combination": "held out" if index % 2 == 0 else "seen",
            },
        }
    (folder / "mapping_file.json").write_text(json.dumps(mapping) + "\n", encoding="utf-8")


def widen(mask: np.ndarray) -> torch.Tensor:
    """The object's mask dilated by two pixels on each side."""
    drawn = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(DILATION))
    return torch.from_numpy(np.array(drawn) > 0)


if __name__ == "__main__":
    write_test_scenes(Path(sys.argv[1]))
