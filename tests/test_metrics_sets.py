"""The networks of set metrics, and what they make of images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from brushbench.baselines.papercut.quality import SHIPPED
from brushbench.core.errors import UserError
from brushbench.core.types import Batch
from brushbench.datasets.open import load_dataset
from brushbench.evaluation.select_metrics import load_set_metric
from brushbench.metrics.alignment import bounding_crop
from brushbench.metrics.distances import Frechet, distance_between


def scenes(count: int = 4) -> Batch:
    data = load_dataset("papercut", split="inside")
    return Batch.of([data[place] for place in range(count)])


def test_the_second_judge_sees_each_image_alone() -> None:
    batch = scenes()
    metric = load_set_metric("papercut-fd")
    together = metric.features(batch, batch.images)
    assert together.shape == (4, 104)
    alone = torch.cat([metric.features(batch.take([place]), batch.images[place : place + 1]) for place in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_the_second_judge_notices_what_the_clip_does_not() -> None:
    """Blur moves the distance beyond what a change of all pixels by one level does."""
    batch = scenes(24)
    metric = load_set_metric("papercut-fd")
    seen = metric.features(batch, batch.images).double().numpy()
    blurred = torch.nn.functional.avg_pool2d(batch.images.float(), 5, 1, 2).round().to(torch.uint8)
    brighter = (batch.images.int() + 1).clamp(max=255).to(torch.uint8)
    far, near = (
        distance_between(Frechet, seen, metric.features(batch, own).double().numpy()) for own in (blurred, brighter)
    )
    assert far > 20 * near


def test_painted_features_are_those_of_the_crop(tiny_clip: Path) -> None:
    batch = scenes()
    painted, whole = (load_set_metric(name, model=str(tiny_clip)) for name in ("cmmd@painted", "cmmd"))
    found = painted.features(batch, batch.images)
    for place in range(len(batch)):
        crop = bounding_crop(batch.images[place], batch.masks[place])
        assert crop is not None
        one = batch.take([place])
        torch.testing.assert_close(found[place : place + 1], whole.features(one, crop[None]))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    empty = Batch(batch.ids, batch.images, torch.zeros_like(batch.masks), batch.captions)
    assert painted.features(empty, batch.images).isnan().all()


@pytest.fixture
def tiny_clip() -> Path:
    return SHIPPED / "clip"


def test_fid_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brushbench.metrics.inception.PACKAGE", "package_that_nobody_has")
    batch = scenes(2)
    with pytest.raises(UserError, match="pip install"):
        load_set_metric("fid").features(batch, batch.images)


@pytest.mark.slow
def test_fid_and_kid_are_torch_fidelitys_on_its_own_network(tmp_path: Path) -> None:
    """Inception with random weights: the features of its own extractor, and the distances of its own functions."""
    from torch_fidelity import feature_extractor_inceptionv3 as inception
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        network = inception.FeatureExtractorInceptionV3("inception", ["2048"])
    file = tmp_path / "inception.pth"
    torch.save(network.state_dict(), file)
    batch = scenes(6)
    painted = 255 - batch.images
    fid = load_set_metric("fid", weights_of=str(file), device="cpu")
    kid = load_set_metric("kid", weights_of=str(file), device="cpu")
    own, official = fid.features(batch, painted), network(painted)[0]
    torch.testing.assert_close(own, official)
    references = fid.features(batch, batch.images)
    statistics = [fid_features_to_statistics(rows) for rows in (references, own)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    rows = [each.double().numpy() for each in (references, own)]
    assert fid.distance(*rows) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    official_kid = kid_features_to_metric(references, own, kid_subsets=1, kid_subset_size=6, rng_seed=0, verbose=False)[
        "kernel_inception_distance_mean"
    ]
    assert kid.distance(*rows) == pytest.approx(official_kid, rel=1e-3, abs=1e-6)
    assert np.isfinite(expected)
