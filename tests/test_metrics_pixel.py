"""Pixel metrics against the official script, torchmetrics and closed forms."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, gaussian_filter
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

import brushbench
from brushbench.core.metric_info import unscored
from brushbench.core.types import Batch, Sample
from brushbench.imaging.images import read_image, read_mask
from brushbench.metrics.pixel import ssim_by_convolution

CROPPED = "cropped_5px_border (torchmetrics<=1.4.1; agrees with skimage gaussian_weights)"


@pytest.fixture(scope="module")
def official(golden: Path) -> dict[str, object]:
    return json.loads((golden / "metrics/pixel.json").read_text())


@pytest.fixture(scope="module")
def pairs(golden: Path) -> tuple[Batch, torch.Tensor]:
    folder = golden / "metrics/photos"
    samples = [
        Sample(str(k), read_image(folder / f"src_{k}.png"), read_mask(folder / f"mask_{k}.png"), "") for k in (0, 1)
    ]
    return Batch.of(samples), torch.stack([read_image(folder / f"tgt_{k}.png") for k in (0, 1)])


def scores(name: str, pairs: tuple[Batch, torch.Tensor], **options: str) -> list[float]:
    return brushbench.load_metric(name, **options)(*pairs).tolist()


def test_paper_is_exactly_the_official_script(official, pairs) -> None:
    assert scores("psnr", pairs, protocol="paper") == [row["psnr"] for row in official["rows"]]
    assert scores("mse", pairs, protocol="paper") == [row["mse"] for row in official["rows"]]
    whole = scores("psnr@whole", pairs, protocol="paper")
    assert whole == [row["psnr_full_ones_mask"] for row in official["rows"]]


def test_paper_is_exactly_the_official_script_on_extremes(golden: Path) -> None:
    folder = golden / "brushnet/evaluation"
    arrays = {name: torch.from_numpy(array) for name, array in np.load(folder / "psnr_inputs.npz").items()}
    first, second, keep = arrays["A"], arrays["B"], arrays["M"]
    everything, black = torch.ones_like(keep), torch.zeros_like(first)
    large = torch.zeros(512, 512, 3, dtype=torch.uint8)
    touched = large.clone()
    touched[0, 0, 0] = 1
    cases = {
        "A vs B, mask M": (first, second, keep),
        "A vs B, full mask": (first, second, everything),
        "A vs A (mse 0 -> 1000)": (first, first, everything),
        "A vs A1 (+1 with clipping)": (first, arrays["A1"], everything),
        "black vs white full mask (official PSNR is NEGATIVE)": (black, 255 - black, everything),
        "one pixel one channel off by 1 in 512x512": (large, touched, torch.ones_like(large[..., :1])),
    }
    official = {row["name"]: row for row in json.loads((folder / "evaluation.json").read_text())["psnr_mse"]}
    for name, (source, image, kept) in cases.items():
        mask = ~kept.permute(2, 0, 1)[None].bool()
        batch = Batch(("one",), source.permute(2, 0, 1)[None], mask, ("",))
        pair = (batch, image.permute(2, 0, 1)[None])
        found = [scores(metric, pair, protocol="paper")[0] for metric in ("psnr", "mse")]
        assert found == [official[name]["psnr"], official[name]["mse"]], name


def test_strict_is_the_mean_over_pixels_and_channels(official, pairs) -> None:
    expected = [row["standard_psnr_region"] for row in official["rows"]]
    assert scores("psnr", pairs) == pytest.approx(expected, rel=1e-9)
    expected = [row["exact_int_sum_sq"] / (255**2 * 3 * row["mask_pixels_kept"]) for row in official["rows"]]
    assert scores("mse", pairs) == pytest.approx(expected, rel=1e-12)


def test_ssim_is_that_of_the_reference(official, pairs) -> None:
    rows = official["ssim"][CROPPED]["rows"]
    assert scores("ssim@whole", pairs) == pytest.approx([row["full_f64"] for row in rows], rel=1e-9)
    assert scores("ssim", pairs, protocol="paper") == scores("ssim", pairs)


def test_ssim_of_a_gpu_is_that_of_the_cpu(pairs) -> None:
    batch, images = pairs
    same = brushbench.load_metric("ssim@whole", device="cpu")(batch, images)
    maps = ssim_by_convolution(images, batch.images).flatten(1)
    assert torch.allclose(maps.mean(dim=1), same, rtol=1e-11)
    assert (ssim_by_convolution(images, images) == 1).all()


def test_ssim_agrees_with_torchmetrics_where_windows_are_whole(pairs) -> None:
    batch, images = pairs
    small, sources = images[:, :, 100:140, 100:140], batch.images[:, :, 100:140, 100:140]
    _, full = structural_similarity_index_measure(
        small.double() / 255, sources.double() / 255, data_range=1.0, return_full_image=True
    )
    expected = full[..., 5:-5, 5:-5].flatten(1).mean(dim=1)
    nothing = Batch(("a", "b"), sources, torch.zeros(2, 1, 40, 40, dtype=torch.bool), ("", ""))
    assert torch.allclose(brushbench.load_metric("ssim@whole")(nothing, small), expected, rtol=1e-9)


def one(image: int, source: int, mask: torch.Tensor) -> tuple[Batch, torch.Tensor]:
    shape = (1, 3, *mask.shape)
    sources = torch.full(shape, source, dtype=torch.uint8)
    return Batch(("one",), sources, mask[None, None], ("",)), torch.full(shape, image, dtype=torch.uint8)


HALF = torch.arange(16 * 16).reshape(16, 16) % 16 < 8
NONE, ALL = torch.zeros(16, 16, dtype=torch.bool), torch.ones(16, 16, dtype=torch.bool)


@pytest.mark.parametrize("region", ["known", "painted", "whole"])
def test_closed_forms(region: str) -> None:
    pair = one(255, 0, HALF)
    assert scores(f"mse@{region}", pair) == [1.0]
    assert scores(f"psnr@{region}", pair) == [0.0]
    assert scores(f"mse@{region}", pair, protocol="paper") == [3.0]
    assert scores(f"psnr@{region}", pair, protocol="paper") == pytest.approx([-10 * math.log10(3)], rel=1e-7)


def test_only_the_region_counts() -> None:
    batch, images = one(100, 100, HALF)
    images[:, :, HALF] = 0
    assert scores("mse", (batch, images)) == [0.0]
    assert scores("mse@painted", (batch, images)) == pytest.approx([(100 / 255) ** 2])
    assert scores("mse@whole", (batch, images)) == pytest.approx([(100 / 255) ** 2 / 2])


def test_identical_images_have_no_psnr_but_in_the_paper() -> None:
    pair = one(7, 7, HALF)
    assert scores("psnr", pair) == [math.inf]
    assert unscored(math.inf) == "identical"
    assert scores("psnr", pair, protocol="paper") == [1000.0]


def test_ssim_of_a_region_is_the_mean_over_the_windows_in_it(pairs) -> None:
    batch, images = pairs
    for name, region in (("ssim", ~batch.masks), ("ssim@painted", batch.masks)):
        expected = []
        for image, source, inside in zip(images, batch.images, region[:, 0], strict=True):
            _, similarity = structural_similarity(
                image.double().numpy(),
                source.double().numpy(),
                data_range=255,
                channel_axis=0,
                gaussian_weights=True,
                use_sample_covariance=False,
                full=True,
            )
            # A window lies in the region if it lies in it as a square of 11 pixels does when it is eroded by one.
            eroded = binary_erosion(inside.numpy(), np.ones((11, 11)), border_value=0)
            expected.append(similarity.mean(axis=0)[eroded].mean())
        assert scores(name, pairs) == pytest.approx(expected, rel=1e-9)


def test_ssim_of_a_region_reads_nothing_else_and_may_find_no_window(pairs) -> None:
    batch, images = pairs
    other = torch.where(batch.masks, 255 - images, images)
    sources = torch.where(batch.masks, 255 - batch.images, batch.images)
    assert scores("ssim", (replace(batch, images=sources), other)) == scores("ssim", pairs)
    narrow = torch.zeros(2, 1, *images.shape[2:], dtype=torch.bool)
    narrow[..., 100:110] = True
    assert all(map(math.isnan, scores("ssim@painted", (replace(batch, masks=narrow), images))))


@pytest.mark.parametrize("name", ["ssim", "lpips"])
def test_a_score_of_what_is_known_does_not_depend_on_the_size_of_the_hole(name: str, golden: Path) -> None:
    """One texture and one noise everywhere, and holes of 0, 4, 23 and 58 % of the picture."""
    backbone = {"backbone": golden / "metrics/lpips/squeezenet1_1_features.fp16.safetensors"}
    draw = np.random.default_rng(0)
    texture = gaussian_filter(draw.normal(size=(3, 512, 512)), (0, 2, 2))
    source = (128 + 40 * texture / texture.std()).clip(0, 255).round()
    image = (source + draw.normal(size=source.shape) * 10).clip(0, 255).round()
    masks = torch.zeros(4, 1, 512, 512, dtype=torch.bool)
    for mask, side in zip(masks[1:], (102, 246, 390), strict=True):
        start = (512 - side) // 2
        mask[:, start : start + side, start : start + side] = True
    images, sources = (torch.from_numpy(part.astype(np.uint8)).repeat(4, 1, 1, 1) for part in (image, source))
    batch = Batch(("a", "b", "c", "d"), sources, masks, ("",) * 4)
    found = torch.tensor(scores(name, (batch, images), **(backbone if name == "lpips" else {})))
    assert (found / found[0] - 1).abs().max() < 0.02


@pytest.mark.parametrize("name", ["psnr", "mse", "ssim"])
@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_an_empty_region_is_not_scored(name: str, protocol: str) -> None:
    for region, mask in (("known", ALL), ("painted", NONE)):
        value = scores(f"{name}@{region}", one(1, 2, mask), protocol=protocol)[0]
        assert unscored(value) == "nothing to score"


@pytest.mark.parametrize("name", ["psnr", "mse", "ssim"])
@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_a_batch_is_its_samples_in_any_order(name: str, protocol: str, pairs) -> None:
    batch, images = pairs
    together = scores(name, pairs, protocol=protocol)
    turned = Batch(batch.ids[::-1], batch.images.flip(0), batch.masks.flip(0), batch.captions[::-1])
    assert scores(name, (turned, images.flip(0)), protocol=protocol) == together[::-1]
    alone = [
        Batch((batch.ids[k],), batch.images[k : k + 1], batch.masks[k : k + 1], (batch.captions[k],)) for k in (0, 1)
    ]
    assert [scores(name, (alone[k], images[k : k + 1]), protocol=protocol)[0] for k in (0, 1)] == together
