"""Data sets: what is read is what was written."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import brushbench
from brushbench.core.errors import SampleError


def rename_to_list(root: Path) -> None:
    mapping = json.loads((root / "mapping_file.json").read_text())
    records = [{"image_id": key, **entry} for key, entry in mapping.items()]
    (root / "mapping_file.json").unlink()
    (root / "mapping_file_list.json").write_text(json.dumps(records))


@pytest.mark.parametrize("layout", ["dict", "list", "above", "misspelt", "file"])
def test_every_variant_of_brushbench_is_the_same(layout: str, write_bench, tmp_path: Path) -> None:
    root = write_bench()
    expected = list(brushbench.load_dataset("brushbench", root=root))
    if layout == "list":
        rename_to_list(root)
    elif layout == "file":
        root = root / "mapping_file.json"
    elif layout != "dict":
        shutil.move(root, tmp_path / "data" / ("BrushBench" if layout == "above" else "BrushDench"))
        root = tmp_path / "data"
    found = brushbench.load_dataset("brushbench", root=root)
    assert len(found) == len(expected) == 4
    for sample, other in zip(found, expected, strict=True):
        assert (sample.id, sample.caption) == (other.id, other.caption)
        assert torch.equal(sample.image, other.image)
        assert torch.equal(sample.mask, other.mask)


def test_outside_paints_what_inside_leaves(write_bench) -> None:
    root = write_bench()
    inside, outside = (brushbench.load_dataset("brushbench", root=root, split=split) for split in ("inside", "outside"))
    for first, second in zip(inside, outside, strict=True):
        assert torch.equal(first.mask, ~second.mask)
        assert 0 < first.mask.float().mean() < 0.5


def test_the_digest_is_of_every_byte(write_bench, tmp_path: Path) -> None:
    root = write_bench()
    digest = brushbench.load_dataset("brushbench", root=root).digest()
    copy = shutil.copytree(root, tmp_path / "copy")
    assert brushbench.load_dataset("brushbench", root=copy, split="outside").digest() == digest
    shutil.copy(copy / "images/000000001.png", copy / "images/000000002.png")
    assert brushbench.load_dataset("brushbench", root=copy).digest() != digest


def test_official_masks_are_read_row_by_row(golden: Path) -> None:
    root = golden / "brushnet/mini_bench/data"
    dataset = brushbench.load_dataset("brushbench", root=root)
    mapping = json.loads((root / "mapping_file.json").read_text())
    for sample in dataset:
        drawn = np.zeros(512 * 512, dtype=bool)
        runs = mapping[sample.id]["inpainting_mask"]
        for start, length in zip(runs[::2], runs[1::2], strict=True):
            drawn[start - 1 : start - 1 + length] = True
        assert (sample.mask[0].numpy() == drawn.reshape(512, 512)).all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for stem, size in (("a", (16, 24)), ("b", (32, 8))):
        Image.fromarray(np.full((*size, 3), 9, dtype=np.uint8)).save(tmp_path / "images" / f"{stem}.jpg")
        Image.fromarray(np.eye(*size, dtype=np.uint8) * 255).save(tmp_path / "masks" / f"{stem}.png")
    return tmp_path


CAPTIONS = {
    "captions.csv": 'id,caption\nb,"two, with a comma"\na,one\n',
    "captions.json": '{"b.jpg": "two, with a comma", "a": "one"}',
    "captions.txt": "one\ntwo, with a comma\n",
}


@pytest.mark.parametrize("file", CAPTIONS)
def test_a_folder_of_ones_own(file: str, folder: Path) -> None:
    (folder / file).write_text(CAPTIONS[file])
    first, second = brushbench.load_dataset("folder", root=folder)
    assert (first.id, first.caption, second.id, second.caption) == ("a", "one", "b", "two, with a comma")
    assert first.image.shape == (3, 16, 24)
    assert torch.equal(second.mask[0], torch.eye(32, 8, dtype=torch.bool))
    assert torch.equal(brushbench.load_dataset("folder", root=folder, split="outside")[1].mask, ~second.mask)


@pytest.mark.parametrize("values", [(0, 255), (0, 1), (3, 200)])
@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_masks_in_any_usual_form(values: tuple[int, int], mode: str, folder: Path) -> None:
    (folder / "captions.txt").write_text("one\ntwo\n")
    drawn = np.tri(16, 24, -2, dtype=bool)
    low, high = (0, 255) if mode == "1" else values
    image = Image.fromarray(np.where(drawn, high, low).astype(np.uint8)).convert(mode)
    image.save(folder / "masks" / "a.png")
    mask = brushbench.load_dataset("folder", root=folder)[0].mask
    assert (mask[0].numpy() == drawn).all()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda root: (root / "masks/a.png").unlink(), "no mask for 'a'"),
        (lambda root: (root / "captions.csv").write_text("id,caption\nb,two\n"), "no caption for 'a'"),
        (lambda root: Image.new("L", (5, 5), 255).save(root / "masks/a.png"), "mask is 5x5, its image is 16x24"),
        (lambda root: Image.new("L", (24, 16)).save(root / "masks/a.png"), "mask is empty"),
    ],
)
def test_a_folder_with_one_bad_sample(change, part: str, folder: Path) -> None:
    (folder / "captions.csv").write_text(CAPTIONS["captions.csv"])
    change(folder)
    dataset = brushbench.load_dataset("folder", root=folder)
    with pytest.raises(SampleError, match=part):
        dataset[0]
    assert dataset[1].id == "b"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda root: shutil.rmtree(root / "masks"), "no masks/ folder"),
        (lambda root: None, "one of captions.csv, captions.json, captions.txt is needed, found none"),
        (lambda root: (root / "captions.txt").write_text("one\n"), "1 lines for 2 images"),
        (lambda root: (root / "captions.csv").write_text("name;text\n"), "columns are"),
        (lambda root: (root / "captions.json").write_text("[1]"), "must be an object"),
        (lambda root: (root / "captions.json").write_text("{"), "not JSON"),
        (lambda root: (root / "captions.txt").write_bytes(b"\xff\xff"), "UTF-8"),
        (lambda root: shutil.copy(root / "images/a.jpg", root / "images/a.jpeg"), "two images for 'a'"),
    ],
)
def test_a_folder_that_is_none(change, part: str, folder: Path) -> None:
    change(folder)
    with pytest.raises(brushbench.UserError, match=part):
        brushbench.load_dataset("folder", root=folder)


def test_a_folder_in_brushbench_s_format(write_bench) -> None:
    dataset = brushbench.load_dataset("folder", root=write_bench())
    assert (dataset.name, len(dataset)) == ("folder", 4)


@pytest.mark.parametrize("split", ["inside", "outside"])
def test_photos(split: str) -> None:
    dataset = brushbench.load_dataset("photos", split=split)
    assert len(dataset) >= 8
    assert {"astronaut", "camera", "chelsea", "coffee", "coins", "motorcycle", "rocket", "moon"} <= set(dataset.ids)
    for sample in dataset:
        assert sample.image.shape == (3, 512, 512)
        share = sample.mask.float().mean()
        assert 0.03 < (share if split == "inside" else 1 - share) < 0.6
        assert 4 < len(sample.caption.split()) < 25
    with pytest.raises(brushbench.UserError, match="takes no --root"):
        brushbench.load_dataset("photos", root=".")


def test_photos_masks_follow_edges() -> None:
    """Along the drawn outlines the photographs change more than elsewhere: a shifted mask would fail."""
    for sample in brushbench.load_dataset("photos"):
        grey = sample.image.float().mean(dim=0)
        gradient = (grey[1:-1, 2:] - grey[1:-1, :-2]).abs() + (grey[2:, 1:-1] - grey[:-2, 1:-1]).abs()
        solid = sample.mask[0].float()[None, None]
        grown = torch.nn.functional.max_pool2d(solid, 5, 1, 2)
        shrunk = 1 - torch.nn.functional.max_pool2d(1 - solid, 5, 1, 2)
        border = (grown - shrunk)[0, 0, 1:-1, 1:-1].bool()
        # A square of 41 pixels, first along one side and then along the other.
        near = torch.nn.functional.max_pool2d(grown - shrunk, (41, 1), 1, (20, 0))
        near = torch.nn.functional.max_pool2d(near, (1, 41), 1, (0, 20))
        far = ~near[0, 0, 1:-1, 1:-1].bool()
        assert gradient[border].mean() > 1.15 * gradient[far].mean(), sample.id
