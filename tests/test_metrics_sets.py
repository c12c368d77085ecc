"""Features of the built-in set metrics, on tiny or random weights."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_metrics import clip_folder

from brushbench.core.errors import UserError
from brushbench.core.types import Batch, Sample
from brushbench.evaluation.select_metrics import load_set_metric


def scenes(count: int, side: int = 96) -> Batch:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=draw)
    masks = torch.zeros(count, 1, side, side, dtype=torch.bool)
    masks[0, :, 10:40, 20:40] = True
    masks[1] = True
    return Batch.of(
        [Sample(str(place), image, mask, "") for place, (image, mask) in enumerate(zip(images, masks, strict=True))]
    )


def test_cmmd_sees_unit_features_of_a_square(golden: Path, tmp_path: Path) -> None:
    metric = load_set_metric("cmmd", model=str(clip_folder(golden, tmp_path)))
    batch = scenes(2)
    found = metric.features(batch, batch.images)
    assert found.double().norm(dim=1) == pytest.approx([1, 1], abs=1e-6)
    wide = torch.cat([torch.zeros(2, 3, 96, 10, dtype=torch.uint8), batch.images, batch.images[..., :10]], dim=3)
    masks = torch.zeros(2, 1, 96, 116, dtype=torch.bool)
    cropped = metric.features(Batch(batch.ids, wide, masks, batch.captions), wide)
    assert cropped == pytest.approx(found, abs=1e-6), "the centre crop is the square in the middle"


def test_a_region_leaves_out_what_has_no_crop(golden: Path, tmp_path: Path) -> None:
    metric = load_set_metric("cmmd@painted", model=str(clip_folder(golden, tmp_path)))
    batch = scenes(3)
    found = metric.features(batch, batch.images).isfinite().all(dim=1)
    assert found.tolist() == [True, False, False], "all of the second is painted, and nothing of the third"


def test_without_torch_fidelity_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    metric = load_set_metric("fid", weights_of=str(tmp_path / "any.pth"))
    with pytest.raises(
        UserError, match=r'FID and KID need the package torch-fidelity: pip install "brushbench\[fid\]"'
    ):
        metric.load_network()


@pytest.mark.slow
def test_fid_is_torch_fidelitys_on_the_same_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    official = importlib.import_module("torch_fidelity.metric_fid")
    extractor = module.FeatureExtractorInceptionV3
    torch.save({}, tmp_path / "nothing.pth")
    with monkeypatch.context() as patched, torch.random.fork_rng():
        torch.manual_seed(0)
        patched.setattr(extractor, "load_state_dict", lambda self, state: None)
        network = extractor("inception", ["2048"], str(tmp_path / "nothing.pth")).eval()
    torch.save(network.state_dict(), tmp_path / "random.pth")
    metric = load_set_metric("fid", weights_of=str(tmp_path / "random.pth"), device="cpu")
    batch = scenes(6)
    other = 255 - batch.images // 2
    found = [metric.features(batch, images) for images in (batch.images, other)]
    expected = [network(images)[0] for images in (batch.images, other)]
    for own, theirs in zip(found, expected, strict=True):
        assert own == pytest.approx(theirs, abs=1e-6)
    statistics = [official.fid_features_to_statistics(features) for features in expected]
    theirs = official.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    ours = metric.distance(*(np.asarray(features, dtype=np.float64) for features in found))
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
