"""Methods without weights."""

import cv2
import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from torch import Tensor

import brushbench
from brushbench.core.types import Batch

METHODS = ("biharmonic", "mean-fill", "navier-stokes", "telea")


@pytest.fixture
def batch(write_bench) -> Batch:
    return Batch.of(list(brushbench.load_dataset("brushbench", root=write_bench(count=3))))


def painted(name: str, batch: Batch, **options: float) -> UInt8[Tensor, "n 3 h w"]:
    return brushbench.load_method(name, **options)(batch, [0] * len(batch))


@pytest.mark.parametrize("name", [*METHODS, "copy"])
def test_known_pixels_are_kept_and_painted_ones_are_never_read(name: str, batch: Batch) -> None:
    images = painted(name, batch)
    assert torch.equal(torch.where(batch.masks, 0, images), torch.where(batch.masks, 0, batch.images))
    if name != "copy":
        other = Batch(
            batch.ids, torch.where(batch.masks, 255 - batch.images, batch.images), batch.masks, batch.captions
        )
        assert torch.equal(painted(name, other), images)


@pytest.mark.parametrize("name", METHODS)
def test_a_flat_picture_stays_flat(name: str, batch: Batch) -> None:
    flat = Batch(batch.ids, torch.full_like(batch.images, 77), batch.masks, batch.captions)
    # OpenCV's fast marching adds a gradient that its rounding makes a few levels.
    assert (painted(name, flat).int() - 77).abs().max() <= (4 if name == "telea" else 1)


def test_mean_fill_is_the_mean_of_the_known_pixels(batch: Batch) -> None:
    images = painted("mean-fill", batch)
    for image, source, mask in zip(images, batch.images, batch.masks, strict=True):
        mean = source[:, ~mask[0]].double().mean(dim=1).round()
        assert (image[:, mask[0]] == mean[:, None]).all()


@pytest.mark.parametrize(("name", "flag"), [("telea", cv2.INPAINT_TELEA), ("navier-stokes", cv2.INPAINT_NS)])
def test_opencv_sees_image_and_mask_the_right_way_round(name: str, flag: int, batch: Batch) -> None:
    image, mask = batch.images[0].permute(1, 2, 0).numpy(), batch.masks[0, 0].numpy().astype(np.uint8)
    expected = cv2.inpaint(np.ascontiguousarray(image), mask, 7, flag)
    assert (painted(name, batch, radius=7)[0].permute(1, 2, 0).numpy() == expected).all()


def test_biharmonic_continues_a_ramp(batch: Batch) -> None:
    ramp = (torch.arange(64) * 3).to(torch.uint8).expand(3, 3, 64, 64).contiguous()
    images = painted("biharmonic", Batch(batch.ids, ramp, batch.masks, batch.captions))
    assert (images.int() - ramp.int()).abs().max() <= 1
