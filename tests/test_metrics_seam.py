"""The seam along the border of the mask: closed forms, and what is no seam."""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_photos import alone, turned
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter
from torch import Tensor

import brushbench
from brushbench.core.metric_info import unscored
from brushbench.core.registry import dataset_info
from brushbench.core.types import Batch, Sample
from brushbench.evaluation.select_metrics import Setting
from brushbench.imaging.masks import brush_strokes
from brushbench.metrics.seam import REACH

SIDE = 48
seam = brushbench.load_metric("seam")
Change = Callable[[Tensor], Tensor]


def noise(seed: int, low: int = 60, high: int = 190) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (1, 3, SIDE, SIDE), generator=draw, dtype=torch.uint8)


def flat(level: int) -> Tensor:
    return torch.full((1, 3, SIDE, SIDE), level, dtype=torch.uint8)


def blob(seed: int) -> Tensor:
    """Random pixels, and one painted and one known pixel for certain: there is a border."""
    mask = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) > 0.5
    mask[..., 0, 0], mask[..., 0, 1] = True, False
    return mask


def rectangle() -> Tensor:
    mask = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    mask[..., 17:33, 12:38] = True
    return mask


def score(image: Tensor, source: Tensor, mask: Tensor) -> float:
    return seam(Batch(("x",), source, mask, ("",)), image).item()


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_an_untouched_image_has_no_seam(seed: int) -> None:
    assert score(noise(seed), noise(seed), blob(seed)) == 0


@pytest.mark.parametrize("step", [1, 37, -60])
def test_a_step_between_flat_regions_is_its_size(step: int) -> None:
    for mask in (rectangle(), blob(1)):
        stepped = (flat(100).int() + step * mask).byte()
        assert score(stepped, flat(100), mask) == pytest.approx(abs(step))
    one_channel = flat(100).clone()
    one_channel[:, 0][rectangle()[:, 0]] += 30
    # The root of the mean over the channels of its square.
    assert score(one_channel, flat(100), rectangle()) == pytest.approx(30 / 3**0.5)


def test_it_grows_with_the_step_on_texture() -> None:
    source, mask = noise(1, 90, 130), rectangle()
    scores = [score((source.int() + step * mask).byte(), source, mask) for step in range(0, 100, 10)]
    assert scores == sorted(scores)
    # Against the root of the mean of its square, the texture of the pixels next to the border matters little.
    assert scores[-1] == pytest.approx(90, rel=0.1)


def test_content_away_from_the_border_does_not_count() -> None:
    source, mask = torch.cat([noise(1)] * 2, dim=3), torch.zeros(1, 1, SIDE, 2 * SIDE, dtype=torch.bool)
    mask[..., :40] = True
    image = torch.where(mask, torch.cat([noise(2)] * 2, dim=3), source)
    before = score(image, source, mask)
    assert before > 0
    far = torch.ones_like(mask)
    far[..., 40 - REACH : 40 + REACH] = False
    assert score(torch.where(far, 255 - image, image), torch.where(far, 255 - source, source), mask) == before


def test_new_content_without_a_break_is_no_seam() -> None:
    """The ground goes on where an object was, with a texture of the same kind."""
    mask = rectangle()
    source = torch.where(mask, noise(1, 180, 190), noise(1, 60, 70))
    assert score(torch.where(mask, noise(2, 60, 70), source), source, mask) < 2
    # Its edge is still there, and less of it: an object's edge is no seam as long as the hole shows the object.
    darker = torch.where(mask, noise(1, 150, 160), source)
    assert score(darker, source, mask) == 0


def test_a_ghost_of_another_object_is_one() -> None:
    source = torch.where(rectangle(), noise(1, 180, 190), noise(1, 60, 70))
    ghost = torch.where(rectangle(), noise(3, 100, 110), source)
    assert score(ghost, source, rectangle()) == pytest.approx(40, abs=4)


@pytest.mark.parametrize("seed", range(3))
def test_a_turned_or_mirrored_image_has_the_same(seed: int) -> None:
    image, source, mask = noise(seed), noise(seed + 10), blob(seed)
    expected = score(image, source, mask)
    assert score(*(part.transpose(2, 3) for part in (image, source, mask))) == pytest.approx(expected)
    assert score(*(part.flip(3) for part in (image, source, mask))) == pytest.approx(expected)


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


def opened(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def closed(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def as_jpeg(image: Tensor, quality: int = 75) -> Tensor:
    file = io.BytesIO()
    opened(image).save(file, "JPEG", quality=quality)
    return closed(Image.open(file))


def noisy(image: Tensor, sigma: float = 10) -> Tensor:
    draw = torch.randn(image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (image + sigma * draw).round().clamp(0, 255).byte()


def sharpened(image: Tensor) -> Tensor:
    return closed(opened(image).filter(ImageFilter.UnsharpMask()))


@pytest.fixture(scope="module", params=["inside", "outside", "brush"])
def photos(request: pytest.FixtureRequest) -> Batch:
    split = request.param if request.param != "brush" else "inside"
    dataset = brushbench.load_dataset("photos", split=split)
    batch = Batch.of([dataset[index] for index in range(len(dataset))])
    if request.param != "brush":
        return batch
    strokes = [mask for seed in range(40) if (mask := brush_strokes(512, 512, seed)).any()]
    return replace(batch, masks=torch.stack(strokes[: len(dataset)])[:, None])


@pytest.mark.parametrize("change", [as_jpeg, partial(as_jpeg, quality=50), noisy, sharpened])
def test_what_happened_to_the_whole_image_is_no_seam(change: Change, photos: Batch) -> None:
    assert seam(photos, torch.stack([change(image) for image in photos.images])).mean() < 0.3


def test_a_photo_that_is_pasted_in_is_seen_also_with_a_soft_edge(photos: Batch) -> None:
    other = photos.images.roll(1, dims=0).double()

    def pasted(sigma: float) -> Tensor:
        soft = [gaussian_filter(mask[0].double().numpy(), sigma) for mask in photos.masks]
        alpha = torch.from_numpy(np.stack(soft))[:, None]
        return (alpha * other + (1 - alpha) * photos.images).round().byte()

    hard, soft = (seam(photos, pasted(sigma)) for sigma in (0.0, 2.0))
    assert hard.min() > 20
    assert soft.mean() > 0.3 * hard.mean()
    assert (soft > 5).double().mean() >= 0.8


def test_noise_in_the_hole_hides_nothing(photos: Batch) -> None:
    grey = torch.full_like(photos.images, 128)
    fills = [torch.stack([noisy(image, sigma) for image in grey]) for sigma in (0, 3, 10, 25)]
    scores = torch.stack([seam(photos, torch.where(photos.masks, fill, photos.images)) for fill in fills])
    assert scores[0].mean() > 20
    # But for chance, of which there is less the longer the border.
    assert (scores.mean(dim=1).diff() > -0.1).all()
    assert (scores.diff(dim=0) > -0.3).all()
    assert scores[-1].mean() > scores[0].mean() + 1


@pytest.mark.parametrize(
    ("dataset", "split", "usual"),
    [
        ("brushbench", "inside", False),
        ("brushbench", "outside", False),
        ("brushbench", "brush", True),
        ("editbench", "inside", True),
        ("papercut", "inside", False),
        ("papercut", "brush", True),
        ("folder", "inside", False),
    ],
)
def test_it_is_usual_where_masks_do_not_follow_objects(dataset: str, split: str, usual: bool) -> None:
    setting = Setting("strict", dataset_info(dataset), split)
    assert ("seam" in setting.usual()) == usual
    metric = brushbench.load_metric("seam", masks=setting.masks)
    batch = Batch(("x",), flat(1), rectangle(), ("",))
    assert (metric.notes(batch) == [""]) == usual
