"""The seam along the border of the mask: closed forms and invariances."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_photos import alone, photo_pairs, turned
from torch import Tensor

import brushbench
from brushbench.metric_info import unscored
from brushbench.types import Batch, Sample

SIDE = 24
seam = brushbench.load_metric("seam")


def noise(seed: int, low: int = 60, high: int = 190) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (1, 3, SIDE, SIDE), generator=draw, dtype=torch.uint8)


def blob(seed: int) -> Tensor:
    """Random pixels, and one painted and one known pixel for certain: there is a border."""
    mask = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) > 0.5
    mask[..., 0, 0], mask[..., 0, 1] = True, False
    return mask


def rectangle() -> Tensor:
    mask = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    mask[..., 7:16, 5:19] = True
    return mask


def score(image: Tensor, source: Tensor, mask: Tensor) -> float:
    return seam(Batch(("x",), source, mask, ("",)), image).item()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_an_untouched_image_has_no_seam(seed: int) -> None:
    assert score(noise(seed), noise(seed), blob(seed)) == 0


@pytest.mark.parametrize("step", [1, 37, -60])
def test_a_step_between_flat_regions_is_its_size(step: int) -> None:
    flat = torch.full((1, 3, SIDE, SIDE), 100, dtype=torch.uint8)
    for mask in (rectangle(), blob(1)):
        stepped = (flat.int() + step * mask).byte()
        assert score(stepped, flat, mask) == pytest.approx(abs(step))
    one_channel = flat.clone()
    one_channel[:, 0][rectangle()[:, 0]] += 30
    assert score(one_channel, flat, rectangle()) == pytest.approx(10)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([-1, 1]))
def test_it_grows_with_the_step(seed: int, sign: int) -> None:
    source, mask = noise(seed), blob(seed)
    scores = [score((source.int() + sign * step * mask).byte(), source, mask) for step in range(0, 60, 6)]
    assert scores == sorted(scores)


def test_it_grows_with_the_step_on_photographs(golden: Path) -> None:
    batch, _ = photo_pairs(golden)
    calm = 40 + batch.images // 2
    batch = replace(batch, images=calm)
    scores = torch.stack([seam(batch, (calm + step * batch.masks).byte()) for step in range(0, 60, 10)])
    assert (scores[0] == 0).all()
    assert (scores.diff(dim=0) > 0).all()


def test_content_away_from_the_border_does_not_count() -> None:
    source, mask = noise(1), rectangle()
    image = torch.where(mask, noise(2), source)
    before = score(image, source, mask)
    assert before > 0
    near = torch.zeros_like(mask)
    # Two pixels to either side of the border, across it.
    near[..., 7:16, 3:21] = True
    near[..., 5:18, 5:19] = True
    near[..., 9:14, 7:17] = False
    other = torch.where(near, image, noise(3))
    assert not torch.equal(other, image)
    assert score(other, source, mask) == before
    assert score(image, torch.where(near, source, noise(4)), mask) == before


def test_an_edge_that_the_source_has_is_no_seam() -> None:
    mask = rectangle()
    source = torch.where(mask, noise(1, 180, 182), noise(1, 60, 62))
    darker = torch.where(mask, noise(1, 150, 152), source)
    assert score(darker, source, mask) == pytest.approx(0, abs=1)
    # The object is gone, and its place filled like what is around it.
    assert score(noise(1, 60, 62), source, mask) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("seed", range(3))
def test_the_complement_of_the_mask_and_a_turned_image_have_the_same(seed: int) -> None:
    image, source, mask = noise(seed), noise(seed + 10), blob(seed)
    expected = score(image, source, mask)
    assert score(image, source, ~mask) == expected
    assert score(*(part.transpose(2, 3) for part in (image, source, mask))) == expected
    assert score(*(part.flip(3) for part in (image, source, mask))) == expected


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 9)])
def test_masks_without_a_border_and_of_one_pixel(size: tuple[int, int]) -> None:
    source = torch.zeros(1, 3, *size, dtype=torch.uint8)
    mask = torch.zeros(1, 1, *size, dtype=torch.bool)
    for borderless in (mask, ~mask):
        assert unscored(score(255 - source, source, borderless)) == "nothing to score"
    if size != (1, 1):
        mask[0, 0, 0, 0] = True
        assert score(torch.where(mask, 255, source), source, mask) == 255
        assert score(255 - source, source, mask) == 0


def test_a_batch_is_its_samples_in_any_order() -> None:
    samples = [Sample(str(k), noise(k)[0], blob(k)[0], "") for k in range(4)]
    pairs = Batch.of(samples), torch.cat([noise(k + 20) for k in range(4)])
    together = seam(*pairs)
    assert torch.cat([seam(*pair) for pair in alone(pairs)]).tolist() == together.tolist()
    assert seam(*turned(pairs)).flip(0).tolist() == together.tolist()
