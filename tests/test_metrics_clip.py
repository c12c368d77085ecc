"""CLIP similarity and the aesthetic score: the official stack's numbers, one copy of the weights for both."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from metric_photos import assert_batch_is_its_samples, single
from tiny_metrics import clip_folder, golden_cases
from torch import Tensor
from torchmetrics.multimodal import CLIPScore
from transformers import CLIPModel, CLIPProcessor

import brushbench
from brushbench.core.types import Batch, Metric, Sample
from brushbench.metrics.alignment import CLIPSimilarity, bounding_crop
from brushbench.metrics.clip import clip_of

Pairs = tuple[Batch, Tensor]


@pytest.fixture(scope="module")
def folder(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_folder(golden, tmp_path_factory.mktemp("clip") / "tiny-openai-clip")


@pytest.fixture(scope="module")
def clip(folder: Path) -> CLIPSimilarity:
    """The metric under `paper`, which reads captions as the official stack does."""
    metric = brushbench.load_metric("clip", model=folder, protocol="paper")
    assert isinstance(metric, CLIPSimilarity)
    return metric


@pytest.fixture(scope="module")
def aesthetic(golden: Path, folder: Path) -> Metric:
    return brushbench.load_metric("aesthetic", model=folder, linear=golden / "metrics/aesthetic/linear.safetensors")


def scenes(count: int = 4, height: int = 90, width: int = 60) -> Pairs:
    draw = torch.Generator().manual_seed(2)
    captions = ("a cup of coffee", "a cat", "a rocket", "a very long caption " * 30)
    mask = torch.zeros(1, height, width, dtype=torch.bool)
    mask[:, 20:50, 10:45] = True
    sources = torch.randint(0, 256, (count, 3, height, width), generator=draw, dtype=torch.uint8)
    images = torch.randint(0, 256, (count, 3, height, width), generator=draw, dtype=torch.uint8)
    return Batch.of([Sample(str(k), sources[k], mask, captions[k]) for k in range(count)]), images


def test_clip_gives_the_official_numbers(golden: Path, clip: CLIPSimilarity) -> None:
    rows = json.loads((golden / "metrics/clip/golden.json").read_text())["cases"]
    cases = golden_cases(golden, rows)
    assert len(cases) == 5
    for row, pair in cases:
        assert clip(*pair).item() == pytest.approx(row["unclamped_100cos"], abs=2e-5)
        cut = row["n_tokens"] > 77
        assert clip.notes(pair[0]) == ["caption over 77 tokens: its content doesn't count" if cut else ""]


@pytest.mark.parametrize("file", ["linear.safetensors", "sa_0_4_vit_l_14_linear.random.pth"])
def test_aesthetic_gives_the_official_numbers(golden: Path, folder: Path, file: str) -> None:
    metric = brushbench.load_metric("aesthetic", model=folder, linear=golden / "metrics/aesthetic" / file)
    cases = golden_cases(golden, json.loads((golden / "metrics/aesthetic/golden.json").read_text())["cases"])
    assert len(cases) == 3
    for row, pair in cases:
        assert metric(*pair).item() == pytest.approx(row["score"], abs=5e-6)


@pytest.mark.filterwarnings("ignore:Encountered caption longer:UserWarning")
def test_torchmetrics_agrees_on_the_same_weights(folder: Path, clip: CLIPSimilarity) -> None:
    reference = CLIPScore(model_name_or_path=lambda: _for_torchmetrics(folder))
    # The backends of transformers' image processor differ where an image is resized: here none is.
    batch, images = scenes(height=224, width=224)
    expected = [reference(image, caption).item() for image, caption in zip(images, batch.captions, strict=True)]
    assert clip(batch, images).tolist() == pytest.approx(expected, abs=1e-4)


def _for_torchmetrics(folder: Path) -> tuple[object, object]:
    model = CLIPModel.from_pretrained(folder).eval()

    # torchmetrics 1.9 takes the features themselves; transformers 5 wraps them.
    class Unwrapped(torch.nn.Module):
        config = model.config

        def get_image_features(self, pixels: Tensor) -> Tensor:
            return model.get_image_features(pixels).pooler_output

        def get_text_features(self, ids: Tensor, mask: Tensor) -> Tensor:
            return model.get_text_features(ids, attention_mask=mask).pooler_output

    return Unwrapped(), CLIPProcessor.from_pretrained(folder)


def test_one_copy_of_the_weights_and_one_look_at_each_image(
    folder: Path, clip: CLIPSimilarity, aesthetic: Metric
) -> None:
    shared = clip_of(str(folder), torch.device("cpu"))
    seen: list[int] = []
    read: list[int] = []
    hooks = [
        shared.model.vision_model.register_forward_hook(lambda module, inputs, output: seen.append(len(output[0]))),
        shared.model.text_model.register_forward_hook(lambda module, inputs, output: read.append(len(output[0]))),
    ]
    batch, images = scenes()
    batch = replace(batch, captions=("one hook", "another hook", "one hook", "one hook"))
    clip(batch, images)
    aesthetic(batch, images)
    clip(batch, images)
    assert sum(seen) == 4
    assert sum(read) == 2
    images[0] = 0
    clip(batch, images)
    assert sum(seen) == 8
    for hook in hooks:
        hook.remove()


def test_changed_pixels_are_looked_at_again(clip: CLIPSimilarity, aesthetic: Metric) -> None:
    batch, images = scenes()
    for metric in (clip, aesthetic):
        before = metric(batch, images)
        images.numpy()[0] = 255 - images.numpy()[0]
        after = metric(batch, images)
        assert after[0] != before[0]
        torch.testing.assert_close(after, metric(batch, images.clone()), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["clip", "aesthetic", "clip@painted"])
def test_a_batch_is_its_samples_in_any_order(name: str, folder: Path, aesthetic: Metric) -> None:
    metric = aesthetic if name == "aesthetic" else brushbench.load_metric(name, model=folder)
    assert_batch_is_its_samples(metric, scenes())


def test_painted_is_the_bounding_crop_with_a_margin(folder: Path, clip: CLIPSimilarity) -> None:
    batch, images = scenes(1, height=200, width=300)
    batch.masks[:] = False
    batch.masks[..., 60:140, 100:180] = True
    crop = bounding_crop(images[0], batch.masks[0])
    assert crop is not None
    # An eighth of 80 pixels on every side.
    assert torch.equal(crop, images[0, :, 50:150, 90:190])
    painted = brushbench.load_metric("clip@painted", model=folder)
    assert painted.info.name == "clip@painted"
    # The same pixels, but at another place in memory: some processors then add up in another order.
    expected = clip(*single(crop, batch.captions[0])).item()
    assert painted(batch, images).item() == pytest.approx(expected, rel=1e-6)
    unmasked = replace(batch, masks=batch.masks & False)
    assert painted(unmasked, images).isnan().all()


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        # One pixel, in the middle and in a corner: 64 of them, moved into the image.
        ((100, 101), (150, 151), (68, 132, 118, 182)),
        ((0, 1), (299, 300), (0, 64, 236, 300)),
        # The margins end at the image.
        ((0, 160), (0, 80), (0, 190, 0, 95)),
    ],
)
def test_what_is_cut_out_is_never_small_and_stays_in_the_image(
    rows: tuple[int, int], columns: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    images = scenes(1, height=200, width=300)[1]
    mask = torch.zeros(1, 200, 300, dtype=torch.bool)
    mask[:, slice(*rows), slice(*columns)] = True
    top, bottom, left, right = expected
    crop = bounding_crop(images[0], mask)
    assert crop is not None
    assert min(crop.shape[1:]) >= 64
    if rows[0] == 0 and columns[0] == 0:
        assert crop.shape[1] >= 160
        assert crop.shape[2] >= 80
    else:
        assert torch.equal(crop, images[0, :, top:bottom, left:right])


def test_nearly_the_whole_image_is_no_region_of_its_own() -> None:
    images = scenes(1, height=100, width=100)[1]
    for side, scored in ((94, True), (95, False), (100, False)):
        # Only the corners: what counts is their box.
        mask = torch.zeros(1, 100, 100, dtype=torch.bool)
        mask[:, 0, 0] = mask[:, side - 1, side - 1] = True
        assert (bounding_crop(images[0], mask) is not None) == scored
    mask = ~torch.nn.functional.pad(torch.ones(1, 40, 40, dtype=torch.bool), (30, 30, 30, 30))
    assert bounding_crop(images[0], mask) is None


LONG = ("one thing " * 60, "quite another matter " * 60, "a third, about cats, dogs and horses, " * 30)


def test_captions_over_the_limit_all_read_alike_in_the_paper(clip: CLIPSimilarity) -> None:
    batch, images = scenes(3)
    long = replace(batch, captions=LONG)
    images[:] = images[:1].clone()
    found = clip(long, images).tolist()
    assert found == pytest.approx([found[0]] * 3, abs=1e-5)
    assert clip.notes(long) == ["caption over 77 tokens: its content doesn't count"] * 3


def test_captions_over_the_limit_keep_their_end_token(folder: Path, clip: CLIPSimilarity) -> None:
    batch, images = scenes(3)
    long = replace(batch, captions=LONG)
    images[:] = images[:1].clone()
    strict = brushbench.load_metric("clip", model=folder)
    # The official reading of the same captions, before, after and in between, changes nothing.
    clip(long, images)
    found = strict(long, images)
    assert len({round(value, 3) for value in found.tolist()}) == 3
    assert strict.notes(long) == ["caption over 77 tokens: cut there"] * 3
    # What is read of them is their first 75 words of one token each.
    network = clip_of(str(folder), torch.device("cpu"))
    words = [network.tokenizer.decode(ids[1:76]) for ids in network._ids(LONG)]
    short = [ids[:76] + ids[-1:] for ids in network._ids(LONG)]
    assert [len(ids) for ids in network._ids(words)] == [77] * 3
    assert network._ids(words) == short
    torch.testing.assert_close(strict(replace(batch, captions=tuple(words)), images), found)
    assert clip.info.version.split()[0] == "1"
    assert strict.info.version.split()[0] == "2"


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (224, 224)])
def test_extremes_have_a_number(level: int, size: tuple[int, int], folder: Path, aesthetic: Metric) -> None:
    image = torch.full((3, *size), level, dtype=torch.uint8)
    dot = torch.zeros(1, *size, dtype=torch.bool)
    dot[0, 0, 0] = True
    for mask in (dot, dot | True):
        pair = single(image, "", mask)
        assert 0 <= brushbench.load_metric("clip", model=folder)(*pair).item() <= 100
        assert aesthetic(*pair).isfinite().all()
    painted = brushbench.load_metric("clip@painted", model=folder)
    assert painted(*pair).isnan().all()
    if image[0].numel() > 1:
        assert 0 <= painted(*single(image, "", dot)).item() <= 100


def test_weights_that_are_none(golden: Path, folder: Path, tmp_path: Path) -> None:
    pair = scenes(1)
    with pytest.raises(brushbench.UserError, match=r"the folder has no config\.json"):
        brushbench.load_metric("clip", model=tmp_path)(*pair)
    with pytest.raises(brushbench.UserError, match=r"model=\./nowhere: no such file or folder"):
        brushbench.load_metric("clip", model="./nowhere")(*pair)
    with pytest.raises(brushbench.UserError, match="region='known' of clip"):
        brushbench.load_metric("clip@known")
    wrong = brushbench.load_metric("aesthetic", model=folder, linear=folder / "model.safetensors")
    with pytest.raises(brushbench.UserError, match=r"lacks bias \(2 in all\)"):
        wrong(*pair)
    broken = clip_folder(golden, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(brushbench.UserError, match=r"model=.* can't be loaded"):
        brushbench.load_metric("clip", model=broken)(*pair)
