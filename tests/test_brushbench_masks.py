"""Run lengths, blending and latent-size masks, against the official code's results."""

import contextlib
import hashlib
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from brushbench.core.errors import UserError
from brushbench.datasets.brushbench import brush_mask
from brushbench.imaging.images import read_image
from brushbench.imaging.masks import blend, brush_strokes, decode_rle, encode_rle, erase

DAMAGED = {"overlapping", "start 0", "overrun", "odd number", "floats", "one space", "string of"}


def test_decoding_is_the_official_one_for_sound_runs(golden: Path) -> None:
    cases = json.loads((golden / "brushnet/evaluation/evaluation.json").read_text())["rle2mask"]
    checked = 0
    for case in cases:
        if "result" not in case or "column-major" in case["name"] or "in place" in case["name"]:
            continue
        if any(case["name"].startswith(word) for word in DAMAGED):
            with pytest.raises(UserError):
                decode_rle(case["rle"], *case["shape"])
        else:
            mask = decode_rle(case["rle"], *case["shape"])
            assert mask.flatten().nonzero().flatten().tolist() == case["result"]["ones_flat_indices"], case["name"]
            checked += 1
    assert checked >= 10


def test_the_callers_array_is_left_alone() -> None:
    runs = np.array([3, 2, 10, 4])
    decode_rle(runs, 4, 6)
    assert runs.tolist() == [3, 2, 10, 4]


@example(np.zeros((3, 4), dtype=bool))
@example(np.ones((3, 4), dtype=bool))
@example(np.tri(1, 7, dtype=bool))
@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_encoding_and_decoding_are_inverse(array: np.ndarray) -> None:
    mask = torch.from_numpy(array)
    runs = encode_rle(mask)
    assert torch.equal(decode_rle(runs, *mask.shape), mask)
    assert len(runs) == 2 * int(np.sum(np.diff(array.ravel().astype(int), prepend=0) == 1))


@given(st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.none(), st.booleans()), max_size=8))
def test_only_user_errors_come_out(runs: list[object]) -> None:
    with contextlib.suppress(UserError):
        assert decode_rle(runs, 5, 7).shape == (5, 7)


def test_brush_strokes_are_the_official_ones(golden: Path) -> None:
    files = sorted((golden / "brushnet/evaluation").glob("brushmask_seed*.png"))
    assert len(files) == 8
    for file in files:
        seed, height, width = map(int, re.fullmatch(r"brushmask_seed(\d+)_(\d+)x(\d+)", file.stem).groups())
        official = read_image(file)[0] < 128
        assert torch.equal(brush_strokes(height, width, seed), official), file.name


def test_brush_strokes_neither_use_nor_change_a_global_generator() -> None:
    def states() -> tuple[object, ...]:
        # Not Python's, of which the checker of types takes numbers in tests.
        name, keys, *rest = np.random.get_state()  # noqa: NPY002
        return name, keys.tobytes(), *rest, torch.get_rng_state().numpy().tobytes()

    before, strokes = states(), brush_strokes(512, 512, 3)
    masks = [brush_mask(f"{index:09d}", 96, 64) for index in range(5)]
    assert states() == before
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    torch.manual_seed(1)
    assert torch.equal(brush_strokes(512, 512, 3), strokes)
    assert all(torch.equal(brush_mask(f"{index:09d}", 96, 64), mask) for index, mask in enumerate(masks))


def test_the_brush_split_has_no_empty_mask() -> None:
    """A quarter of all seeds draw nothing: of 600 samples about 150 at the first attempt."""
    ids = [f"{index:09d}" for index in range(600)]
    seeds = [int.from_bytes(hashlib.sha256(f"brush:{name}:0".encode()).digest()[:4]) for name in ids]
    empty = sum(not brush_strokes(512, 512, seed).any() for seed in seeds)
    assert 100 < empty < 200
    assert all(brush_mask(name, 512, 512).any() for name in ids)


@pytest.mark.parametrize("name", ["inside_ellipse"])
def test_blurred_blending_is_the_official_one(name: str, golden: Path) -> None:
    folder = golden / "brushnet/evaluation"
    runs = json.loads((folder / "hole_masks_rle.json").read_text())[name]
    mask = decode_rle(runs["rle"], runs["height"], runs["width"])[None, None]
    source = read_image(folder / "photo_astronaut.png")[None]
    painted = read_image(folder / "photo_chelsea.png")[None]
    official = read_image(folder / f"blended_astronaut_{name}.png")
    assert torch.equal(blend(painted, source, mask, "blur", 21)[0], official)


def test_pasting_keeps_known_pixels_exactly() -> None:
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., 2:5, 3:7] = True
    source, painted = torch.full((1, 3, 8, 8), 10, dtype=torch.uint8), torch.full((1, 3, 8, 8), 200, dtype=torch.uint8)
    pasted = blend(painted, source, mask, "paste", 21)
    assert (pasted == torch.where(mask, 200, 10)).all()
    assert torch.equal(blend(painted, source, mask, "none", 21), painted)
    assert torch.equal(blend(painted, source, mask, "blur", 1), pasted)


def test_erasing_makes_the_painted_region_black() -> None:
    mask = torch.rand(2, 1, 8, 8) > 0.5
    images = torch.randint(1, 256, (2, 3, 8, 8), dtype=torch.uint8)
    erased = erase(images, mask)
    assert torch.equal(erased == 0, mask.expand_as(images))
    assert torch.equal(erased + erase(images, ~mask), images)


def test_masks_come_with_the_package() -> None:
    code = "import brushbench; print(brushbench.masks.decode_rle([2, 1], 1, 2).tolist())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[[False, True]]\n"
