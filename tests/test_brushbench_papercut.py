"""PaperCut's scenes, and the brush split."""

import hashlib
from collections import Counter

import numpy as np
import pytest
import torch

import brushbench
from brushbench.baselines.papercut.world.make import COUNT, FIRST_SEED, test_scenes, widen
from brushbench.baselines.papercut.world.objects import OBJECTS
from brushbench.baselines.papercut.world.render import render_scene
from brushbench.baselines.papercut.world.scene import COLOURS, PLACES, combinations, draw_scene
from brushbench.datasets.brushbench import brush_mask
from brushbench.imaging.masks import brush_strokes

test_scenes.__test__ = False


def test_it_is_what_it_is_said_to_be() -> None:
    dataset = brushbench.load_dataset("papercut")
    samples = list(dataset)
    assert len(samples) == COUNT == 200
    assert len(OBJECTS) >= 10
    assert len(COLOURS) >= 8
    for sample, scene in zip(samples, test_scenes(), strict=True):
        assert sample.image.shape == (3, 128, 128)
        assert sample.caption == scene.caption
        assert {scene.colour, scene.thing} <= set(sample.caption.replace(",", "").split())
        assert (sample.tags["object"], sample.tags["colour"], sample.tags["place"]) == (
            *(scene.thing, scene.colour, scene.place),
        )
    styles = Counter(sample.tags["source"] for sample in samples)
    assert min(styles["natural"], styles["artificial"]) > 80
    assert Counter(sample.tags["combination"] for sample in samples) == {"held out": 100, "seen": 100}
    assert {sample.tags["object"] for sample in samples} == set(OBJECTS)
    assert {sample.tags["place"] for sample in samples} == set(PLACES)


def test_test_scenes_are_never_training_scenes() -> None:
    held_out, trained = combinations(held_out=True), combinations(held_out=False)
    assert not set(held_out) & set(trained)
    assert len(held_out) + len(trained) == len(OBJECTS) * len(COLOURS) * len(PLACES)
    scenes = list(test_scenes())
    assert all(scene.seed >= FIRST_SEED for scene in scenes)
    assert sum((scene.thing, scene.colour, scene.place) in held_out for scene in scenes) == 100


@pytest.mark.parametrize("index", [0, 1, 57, 199])
def test_the_shipped_files_are_what_the_renderer_draws(index: int) -> None:
    inside, outside = (brushbench.load_dataset("papercut", split=split)[index] for split in ("inside", "outside"))
    image, mask = render_scene(list(test_scenes())[index])
    # Pillow's versions may round differently.
    assert np.abs(inside.image.permute(1, 2, 0).numpy().astype(int) - image).mean() < 0.5
    assert (inside.mask[0] != widen(mask)).float().mean() < 0.002
    assert torch.equal(inside.mask, ~outside.mask)
    assert inside.mask[0].numpy()[mask].all()
    assert 0.02 < mask.mean() < 0.5


@pytest.mark.parametrize("thing", OBJECTS)
def test_the_mask_is_where_the_object_is(thing: str) -> None:
    """A scene with its object in another colour differs on the mask, and nowhere far from it."""
    one, other = (render_scene(draw_scene(7, (thing, colour, "meadow"))) for colour in ("red", "blue"))
    assert (one[1] == other[1]).all()
    changed = (one[0] != other[0]).any(axis=-1)
    near = widen(one[1]).numpy()
    assert not changed[~near].any()
    assert changed[one[1]].mean() > 0.3


def test_drawing_is_deterministic() -> None:
    scenes = [draw_scene(3, ("house", "pink", "sea")) for _ in range(2)]
    assert scenes[0] == scenes[1]
    assert all(
        (first == second).all() for first, second in zip(render_scene(scenes[0]), render_scene(scenes[1]), strict=True)
    )


def test_brush_masks_are_drawn_at_512_and_never_empty() -> None:
    masks = [brush_mask(f"{index:09d}", 512, 512) for index in range(60)]
    assert all(mask.any() for mask in masks)
    assert len({mask.numpy().tobytes() for mask in masks}) == 60
    seeds = [int.from_bytes(hashlib.sha256(f"brush:000000005:{k}".encode()).digest()[:4]) for k in range(20)]
    official = [brush_strokes(512, 512, seed) for seed in seeds]
    assert torch.equal(masks[5], next(mask for mask in official if mask.any()))
    small = brush_mask("000000005", 128, 128)
    assert torch.equal(small, masks[5][::4, ::4])


def test_the_brush_split_of_a_data_set(write_bench) -> None:
    root = write_bench()
    first, again = (list(brushbench.load_dataset("brushbench", root=root, split="brush")) for _ in range(2))
    assert all(sample.mask.any() for sample in first)
    assert all(torch.equal(sample.mask, other.mask) for sample, other in zip(first, again, strict=True))
