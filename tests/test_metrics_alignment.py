"""PaperCut's own CLIP as a metric."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import interpolate

import brushbench
from brushbench.core.types import Batch
from brushbench.weights import families, read_family

FOLDER = Path(read_family(families()["papercut"]).components["papercut-clip"].source)


@pytest.fixture(scope="module")
def scenes() -> Batch:
    dataset = brushbench.load_dataset("papercut")
    return Batch.of([dataset[index] for index in range(24)])


def test_a_caption_fits_its_scene_better_than_the_next_one_s(scenes: Batch) -> None:
    metric = brushbench.load_metric("papercut-clip")
    own = metric(scenes, scenes.images)
    other = metric(replace(scenes, captions=(*scenes.captions[1:], scenes.captions[0])), scenes.images)
    assert own.dtype == torch.float64
    assert ((own >= 0) & (own <= 100)).all()
    assert (own > other).double().mean() > 0.95
    assert own.mean() > other.mean() + 10


def test_a_batch_is_its_samples_in_any_order(scenes: Batch) -> None:
    metric = brushbench.load_metric("papercut-clip")
    together = metric(scenes, scenes.images)
    dataset = brushbench.load_dataset("papercut")
    alone = [metric(Batch.of([dataset[index]]), scenes.images[index : index + 1]) for index in range(24)]
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-4, rtol=0)
    backwards = Batch.of([dataset[index] for index in reversed(range(24))])
    torch.testing.assert_close(metric(backwards, scenes.images.flip(0)).flip(0), together, atol=1e-4, rtol=0)


def test_other_sizes_are_brought_to_the_model_s(scenes: Batch) -> None:
    metric = brushbench.load_metric("papercut-clip")
    large = interpolate(scenes.images.float(), scale_factor=4, mode="nearest").byte()
    batch = Batch(scenes.ids, large, interpolate(scenes.masks.float(), scale_factor=4).bool(), scenes.captions)
    assert (metric(batch, large) - metric(scenes, scenes.images)).abs().mean() < 3
    wide = torch.cat([large[..., :64] * 0, large, large[..., :64] * 0], dim=3)
    batch = Batch(scenes.ids, wide, wide[:, :1].bool(), scenes.captions)
    assert (metric(batch, wide) - metric(scenes, scenes.images)).abs().mean() < 3


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("caption", ["", "東京 🍰", "a " * 400])
def test_extremes_have_a_number(level: int, caption: str) -> None:
    image = torch.full((3, 128, 128), level, dtype=torch.uint8)
    batch = Batch.of([brushbench.Sample("x", image, image[:1].bool(), caption)])
    assert brushbench.load_metric("papercut-clip")(batch, batch.images).isfinite().all()


def test_another_checkpoint_has_another_version(tmp_path: Path, scenes: Batch) -> None:
    shutil.copytree(FOLDER, tmp_path / "clip")
    same = brushbench.load_metric("papercut-clip", checkpoint=tmp_path / "clip")
    usual = brushbench.load_metric("papercut-clip")
    assert same.info.version != usual.info.version
    assert torch.equal(same(scenes, scenes.images), usual(scenes, scenes.images))


def test_a_checkpoint_that_is_none(tmp_path: Path, scenes: Batch) -> None:
    metric = brushbench.load_metric("papercut-clip", checkpoint=tmp_path)
    with pytest.raises(brushbench.UserError, match=r"papercut-clip: .* can't be loaded"):
        metric(scenes, scenes.images)
    with pytest.raises(brushbench.UserError, match="'papercut-clip' has no regions"):
        brushbench.load_metric("papercut-clip@known")
