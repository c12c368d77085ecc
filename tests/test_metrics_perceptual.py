"""LPIPS against the official stack's numbers, the `lpips` package and torchmetrics on the same weights."""

import json
from dataclasses import replace
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from metric_photos import assert_batch_is_its_samples, photo_pairs
from real_backbones import download, write_backbone
from safetensors.torch import load_file, save_file
from scipy.ndimage import distance_transform_edt
from support import slow_but
from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS

import brushbench
from brushbench.core.metric_info import unscored
from brushbench.core.types import Batch, Sample
from brushbench.metrics.perceptual import NETS, continued

Pairs = tuple[Batch, Tensor]
REGIONS = ("lpips", "lpips@painted", "lpips@whole")
SMALL = (64, 96)
CORNER = 192
"""Side, pixels."""


@pytest.fixture(scope="module")
def pairs(golden: Path) -> Pairs:
    return photo_pairs(golden)


@pytest.fixture(scope="module")
def squeeze(golden: Path) -> Path:
    return golden / "metrics/lpips/squeezenet1_1_features.fp16.safetensors"


@pytest.fixture(scope="module")
def small() -> Pairs:
    draw = torch.Generator().manual_seed(5)
    samples = [
        Sample(str(k), torch.randint(0, 256, (3, *SMALL), generator=draw, dtype=torch.uint8), half_mask(), "")
        for k in range(3)
    ]
    images = torch.stack([torch.randint(0, 256, (3, *SMALL), generator=draw, dtype=torch.uint8) for _ in samples])
    return Batch.of(samples), images


def half_mask() -> Tensor:
    mask = torch.zeros(1, *SMALL, dtype=torch.bool)
    mask[:, 10:40, 20:70] = True
    return mask


def test_the_official_numbers_on_known_and_all_pixels(golden: Path, pairs: Pairs, squeeze: Path) -> None:
    rows = json.loads((golden / "metrics/lpips/golden.json").read_text())["squeeze"]["rows"]
    known = brushbench.load_metric("lpips", backbone=squeeze, protocol="paper")(*pairs)
    assert known.tolist() == pytest.approx([row["lpips_masked"] for row in rows], rel=5e-5)
    whole = brushbench.load_metric("lpips@whole", backbone=squeeze)(*pairs)
    assert whole.tolist() == pytest.approx([row["lpips_unmasked"] for row in rows], rel=5e-5)


def test_features_of_nearly_no_length_count_as_in_torchmetrics(
    golden: Path, pairs: Pairs, squeeze: Path, tmp_path: Path
) -> None:
    tensors = load_file(squeeze)
    small = {name: (tensor.float() * 1e-5 if ".0." in name else tensor) for name, tensor in tensors.items()}
    save_file(small, tmp_path / "small.safetensors")
    rows = json.loads((golden / "metrics/lpips/golden_small_norm.json").read_text())["rows"]
    found = brushbench.load_metric("lpips", backbone=tmp_path / "small.safetensors", protocol="paper")(*pairs)
    assert found.tolist() == pytest.approx([row["torchmetrics_float64"] for row in rows], rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*(pretrained|weights).*:UserWarning")
@pytest.mark.parametrize("net", slow_but(["squeeze", "alex"], NETS))
def test_the_lpips_package_and_torchmetrics_agree_on_random_backbones(net: str, small: Pairs, tmp_path: Path) -> None:
    torch.manual_seed(3)
    package = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    # The package numbers its layers as torchvision does, within slices.
    layers = {
        "features." + name.partition(".")[2].partition(".")[2]: tensor
        for name, tensor in package.state_dict().items()
        if name.startswith("net.slice")
    }
    save_file(layers, tmp_path / "backbone.safetensors")
    reference = _LPIPS(pretrained=True, net=net, pnet_rand=True).eval()
    # Both go through the network in the same order, by other names.
    reference.net.load_state_dict(
        dict(zip(reference.net.state_dict(), package.net.state_dict().values(), strict=True)), strict=True
    )
    batch, images = small
    first, second = (2 * part.float() / 255 - 1 for part in (images, batch.images))
    with torch.inference_mode():
        expected = reference(first, second).flatten().double()
        by_package = package(first, second).flatten().double()
    found = brushbench.load_metric("lpips@whole", net=net, backbone=tmp_path / "backbone.safetensors")(*small)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found, by_package, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = download(tmp_path_factory.mktemp("archive"))
    if found is None:
        pytest.skip("there is no network, and the archive is too large for the repository")
    return found


@pytest.mark.first
@pytest.mark.weights
@pytest.mark.filterwarnings("ignore:.*(pretrained|weights).*:UserWarning")
@pytest.mark.parametrize("net", ["alex", pytest.param("vgg", marks=pytest.mark.slow)])
def test_the_lpips_package_agrees_on_the_real_backbones(net: str, archive: Path, pairs: Pairs, tmp_path: Path) -> None:
    backbone = write_backbone(archive, net, tmp_path / "backbone.safetensors")
    tensors = load_file(backbone)
    package = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    package.net.load_state_dict(
        {name: tensors[f"features.{name.partition('.')[2]}"] for name in package.net.state_dict()}
    )
    # A corner: on whole photographs the networks are slow on a CPU.
    whole, targets = pairs
    batch = replace(whole, images=whole.images[..., :CORNER, :CORNER], masks=whole.masks[..., :CORNER, :CORNER])
    images = targets[..., :CORNER, :CORNER]
    with torch.inference_mode():
        expected = package(*(2 * part.float() / 255 - 1 for part in (images, batch.images))).flatten().double()
    metric = brushbench.load_metric("lpips@whole", net=net, backbone=backbone)
    torch.testing.assert_close(metric(batch, images), expected, rtol=1e-3, atol=1e-5)
    # What the networks are for: the more a picture is disturbed, the farther it is.
    noise = torch.randn(batch.images.shape, generator=torch.Generator().manual_seed(0))
    disturbed = [(batch.images + level * noise).clamp(0, 255).byte() for level in (0, 8, 32, 96)]
    distances = torch.stack([metric(batch, picture) for picture in disturbed])
    assert (distances[0] == 0).all()
    assert (distances.diff(dim=0) > 0).all()


def test_a_batch_is_its_samples_in_any_order(small: Pairs, squeeze: Path) -> None:
    assert_batch_is_its_samples(brushbench.load_metric("lpips", backbone=squeeze), small)


def test_only_the_region_counts(small: Pairs, squeeze: Path) -> None:
    batch, images = small
    touched = torch.where(batch.masks, images, batch.images)
    scores = {name: brushbench.load_metric(name, backbone=squeeze)(batch, touched) for name in REGIONS}
    assert scores["lpips"].tolist() == [0.0, 0.0, 0.0]
    mixed = torch.where(batch.masks, 255 - images, images), torch.where(batch.masks, images, batch.images)
    known = brushbench.load_metric("lpips", backbone=squeeze)
    assert torch.equal(known(replace(batch, images=mixed[1]), mixed[0]), known(batch, images))
    assert (scores["lpips@painted"] > 0).all()
    assert (scores["lpips@whole"] > 0).all()


def test_what_has_no_score(squeeze: Path) -> None:
    metric = brushbench.load_metric("lpips", backbone=squeeze)
    for side, masked in ((32, True), (16, False)):
        image = torch.full((1, 3, side, side), 255, dtype=torch.uint8)
        batch = Batch(("x",), image, torch.full((1, 1, side, side), masked), ("",))
        assert unscored(metric(batch, image * 0).item()) == "nothing to score"


def test_backbones_that_are_none(small: Pairs, squeeze: Path, tmp_path: Path) -> None:
    with pytest.raises(brushbench.UserError, match="backbone=nowhere: no such file"):
        brushbench.load_metric("lpips", backbone="nowhere")(*small)
    with pytest.raises(brushbench.UserError, match=r"the checkpoint lacks \d+\.\S+ \(\d+ in all\)"):
        brushbench.load_metric("lpips", net="alex", backbone=squeeze)(*small)
    (tmp_path / "text.safetensors").write_text("not tensors")
    with pytest.raises(brushbench.UserError, match="can't be loaded"):
        brushbench.load_metric("lpips", backbone=tmp_path / "text.safetensors")(*small)
    with pytest.raises(brushbench.UserError, match="option net='resnet' of lpips"):
        brushbench.load_metric("lpips", net="resnet")


def test_the_version_is_that_of_the_weights(squeeze: Path, tmp_path: Path) -> None:
    version = brushbench.load_metric("lpips@whole", backbone=squeeze).info.version
    save_file({name: tensor * 2 for name, tensor in load_file(squeeze).items()}, tmp_path / "other.safetensors")
    other = brushbench.load_metric("lpips@whole", backbone=tmp_path / "other.safetensors").info.version
    assert version.split()[0] == other.split()[0] == "1"
    assert version != other


def test_a_picture_is_continued_by_its_mirror_image() -> None:
    row = torch.tensor([9, 1, 2, 3, 0, 0, 0, 0, 0, 0], dtype=torch.uint8)
    region = torch.tensor([True] * 4 + [False] * 6)
    made = continued(row.repeat(1, 3, 2, 1), region.repeat(1, 1, 2, 1))
    # Mirrored at the last pixel of the region, and from where there is none left to mirror, that pixel.
    assert made[0, 0].tolist() == [[9, 1, 2, 3, 2, 1, 9, 3, 3, 3]] * 2


def test_the_definition_on_a_region_has_a_version_of_its_own(squeeze: Path) -> None:
    numbers = {
        (region, protocol): brushbench.load_metric(region, backbone=squeeze, protocol=protocol).info.version.split()[0]
        for region in ("lpips", "lpips@whole")
        for protocol in ("strict", "paper")
    }
    assert numbers.pop(("lpips", "strict")) == "2"
    assert set(numbers.values()) == {"1"}


def test_a_mask_s_mirror_is_found_once_for_image_and_source(
    small: Pairs, squeeze: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, images = small
    metric = brushbench.load_metric("lpips", backbone=squeeze)
    expected = metric(batch, images)
    found: list[tuple[int, ...]] = []

    def counting(hole: np.ndarray, **options: bool) -> np.ndarray:
        found.append(hole.shape)
        return distance_transform_edt(hole, **options)

    monkeypatch.setattr("brushbench.metrics.perceptual.distance_transform_edt", counting)
    assert torch.equal(metric(batch, images), expected)
    # In the hole's bounding box and the pixels around it.
    assert found == [(32, 52)] * len(batch)


def test_the_box_around_a_hole_is_enough_to_continue_a_picture() -> None:
    draw = np.random.default_rng(3)

    def everywhere(image: Tensor, inside: np.ndarray) -> Tensor:
        nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
        mirrored = 2 * nearest - np.indices(inside.shape)
        limits = np.array(inside.shape)[:, None, None]
        mirrored = np.where(((mirrored >= 0) & (mirrored < limits)).all(axis=0), mirrored, nearest)
        rows, columns = np.where(inside[tuple(mirrored)], mirrored, nearest)
        return image[:, rows, columns]

    for _ in range(300):
        height, width = draw.integers(2, 40, 2)
        inside = draw.random((height, width)) < draw.choice([0.02, 0.5, 0.98])
        top, left = draw.integers(0, height), draw.integers(0, width)
        inside[top : top + height // 2, left : left + width // 2] = False
        if inside.any():
            image = torch.from_numpy(draw.integers(0, 256, (3, height, width), dtype=np.uint8))
            made = continued(image[None], torch.from_numpy(inside)[None, None])
            assert torch.equal(made[0], everywhere(image, inside))
