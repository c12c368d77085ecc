"""The training scenes: drawn once, in separate processes, and kept in several files."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from brushbench.baselines.papercut.world.make import FIRST_SEED, widen
from brushbench.baselines.papercut.world.render import SIDE, render_scene
from brushbench.baselines.papercut.world.scene import Scene, combinations, draw_scene, write_empty_caption
from brushbench.core.progress import ProgressCallback

PART = 512
"""Number of scenes per file; the last file may have fewer."""
EVERY_EMPTY = 17
"""One in this many scenes has no object; without them, no model would learn what `empty scene` means."""
PERMUTATION = 20240311


@final
@dataclass(frozen=True, slots=True)
class Corpus:
    """The n training scenes. None is a test scene, and none shows a held-out combination."""

    images: UInt8[Tensor, "n 3 128 128"]
    masks: Bool[Tensor, "n 1 128 128"]
    """The object's mask, dilated as in the data set; in a scene without an object, where the object would be."""
    scenes: tuple[Scene, ...]
    """The scenes, with their training captions."""

    @property
    def empty(self) -> Bool[Tensor, " n"]:
        """Which scenes have no object."""
        return torch.tensor([is_empty(scene.seed) for scene in self.scenes])

    def __len__(self) -> int:
        return len(self.scenes)


def training_scene(seed: int) -> Scene:
    """The training scene of a seed; all combinations allowed in training take turns, in a fixed random order."""
    order = _order()
    scene = draw_scene(seed, order[seed % len(order)])
    if not is_empty(seed):
        return scene
    return replace(scene, caption=write_empty_caption(np.random.default_rng([seed, 2]), scene.place))


@cache
def _order() -> tuple[tuple[str, str, str], ...]:
    pool = combinations(held_out=False)
    return tuple(pool[index] for index in np.random.default_rng(PERMUTATION).permutation(len(pool)))


def is_empty(seed: int) -> bool:
    """Whether the training scene of that seed has no object."""
    return seed % EVERY_EMPTY == EVERY_EMPTY - 1


def draw_corpus(folder: Path, count: int, watch: ProgressCallback, first: int = 0) -> Corpus:
    """Draw the scenes from seed `first` on that aren't in the folder yet, and read all of them."""
    last = first + count
    assert last <= FIRST_SEED
    folder.mkdir(parents=True, exist_ok=True)
    ranges = [range(start, min(start + PART, last)) for start in range(first, last, PART)]
    missing = [seeds for seeds in ranges if not _file(folder, seeds).exists()]
    if missing:
        advance = watch("drawing scenes", len(ranges), len(ranges) - len(missing))
        for _ in _drawn(folder, missing):
            advance(1, 0)
    parts = [np.load(_file(folder, seeds)) for seeds in ranges]
    return Corpus(
        torch.from_numpy(np.concatenate([part["images"] for part in parts])),
        torch.from_numpy(np.concatenate([part["masks"] for part in parts])),
        tuple(training_scene(seed) for seed in range(first, last)),
    )


def pictures(scenes: Sequence[Scene]) -> tuple[np.ndarray, np.ndarray]:
    """The images, uint8 [n, 3, 128, 128], and masks, bool [n, 1, 128, 128], of training scenes."""
    drawn = [render_scene(scene, empty=is_empty(scene.seed)) for scene in scenes]
    images = np.stack([image.transpose(2, 0, 1) for image, _ in drawn])
    return images, np.stack([widen(mask).numpy()[None] for _, mask in drawn])


def _drawn(folder: Path, parts: Sequence[range]) -> Iterator[None]:
    if len(parts) == 1:
        yield from map(partial(_draw_part, folder), parts)
        return
    # Forking a process in which torch has threads can hang.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_draw_part, folder), parts)


def _draw_part(folder: Path, seeds: range) -> None:
    images, masks = pictures([training_scene(seed) for seed in seeds])
    assert images.shape == (len(seeds), 3, SIDE, SIDE)
    partial_file = folder / f".{seeds.start}.partial.npz"
    np.savez(partial_file, images=images, masks=masks)
    partial_file.replace(_file(folder, seeds))


def _file(folder: Path, seeds: range) -> Path:
    return folder / (f"{seeds.start:07d}.npz" if len(seeds) == PART else f"{seeds.start:07d}-{seeds.stop:07d}.npz")
