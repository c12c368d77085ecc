"""`inpaint`: one picture by hand, by the code of a run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import assert_one_line

from brushbench import load_dataset
from brushbench.imaging.images import read_image

Inpaint = Callable[..., tuple[int, str, str]]
METHODS = '''
import torch
from brushbench.core.errors import SampleError


class Red:
    def __call__(self, batch, seeds):
        fill = torch.tensor([255, 0, 0], dtype=torch.uint8)[None, :, None, None]
        return torch.where(batch.masks, fill, batch.images)


class Seed:
    """Writes the seed into the hole."""

    def __call__(self, batch, seeds):
        return torch.where(batch.masks, torch.tensor(seeds[0] % 251, dtype=torch.uint8), batch.images)


class Eights:
    side_multiple = 8

    def __call__(self, batch, seeds):
        assert batch.images.shape[2] % 8 == batch.images.shape[3] % 8 == 0
        return batch.images


class Broken:
    def __call__(self, batch, seeds):
        raise KeyError("lost")


class Full:
    def __call__(self, batch, seeds):
        raise MemoryError


class Refuses:
    def __call__(self, batch, seeds):
        raise SampleError("too blue")


class Wrong:
    def __call__(self, batch, seeds):
        return batch.images.float()
'''


def written() -> np.ndarray:
    return read_image(Path("out.png")).permute(1, 2, 0).numpy()


def gradient(height: int = 24, width: int = 32) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 8 % 256, columns * 6 % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)


def hole(height: int = 24, width: int = 32) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[4:12, 6:20] = 255
    return mask


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(gradient()).save("image.png")
    Image.fromarray(hole()).save("mask.png")
    Path("methods.py").write_text(METHODS)
    return tmp_path


@pytest.fixture
def inpaint(folder: Path, brushbench) -> Inpaint:
    """The command with usual arguments; None leaves one out."""

    def call(*more: object, **changes: object) -> tuple[int, str, str]:
        usual = {"image": "image.png", "mask": "mask.png", "caption": "a red box", "method": "methods.py:Red"}
        given = usual | {"output": "out.png"} | changes
        pairs = [word for key, value in given.items() if value is not None for word in (f"--{key}", value)]
        return brushbench("inpaint", *pairs, *more)

    return call


def test_only_the_white_pixels_are_inpainted(inpaint: Inpaint) -> None:
    code, out, err = inpaint()
    assert (code, out, err) == (0, "image: out.png\n", "")
    made, source = written(), gradient()
    assert (made[hole() > 0] == [255, 0, 0]).all()
    assert (made[hole() == 0] == source[hole() == 0]).all()


def test_the_result_is_that_of_a_run(
    brushbench, tmp_path: Path, write_bench, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a size that is padded; the image file's name stands for the sample's id."""
    root = write_bench(count=2, side=60)
    options = ("--method", "brushnet", "--weights", tiny_weights, "--steps", "2", "--seed", "7", "-o", "scale=0.5")
    where = ("--dataset", "brushbench", "--root", root, "--output", tmp_path / "runs", "--batch-size", "1")
    assert brushbench("generate", *options, *where)[0] == 0
    run = tmp_path / "runs" / "brushbench-inside" / "brushnet"
    sample = load_dataset("brushbench", root=root)[1]
    Image.fromarray(sample.mask[0].numpy().astype(np.uint8) * 255).save(tmp_path / "mask.png")
    files = ("--image", root / "images" / f"{sample.id}.png", "--mask", tmp_path / "mask.png")
    code, _, err = brushbench(
        "inpaint", *files, "--caption", sample.caption, *options, "--output", tmp_path / "out.png"
    )
    assert code == 0, err
    assert f"weights of brushnet: {tiny_weights}" in err
    assert "padded by reflection to 64x64" in err
    assert torch.equal(read_image(tmp_path / "out.png"), read_image(run / "images" / f"{sample.id}.png"))


def test_the_seed_follows_from_the_option_and_the_image_s_name(inpaint: Inpaint) -> None:
    from brushbench.core.protocol import protocol_named

    Image.fromarray(gradient()).save("other.png")
    for image, seed in (("image", 1234), ("image", 5), ("other", 5)):
        assert inpaint("--force", "--seed", seed, image=f"{image}.png", method="methods.py:Seed")[0] == 0
        expected = protocol_named("strict").sample_seed(seed, image) % 251
        assert (written()[hole() > 0] == expected).all()


def test_a_size_that_the_method_has_not_is_padded_and_cropped(inpaint: Inpaint) -> None:
    Image.fromarray(gradient(21, 30)).save("odd.png")
    Image.fromarray(hole(21, 30)).save("odd_mask.png")
    code, _, err = inpaint(image="odd.png", mask="odd_mask.png", method="methods.py:Eights")
    assert code == 0
    assert err == "note: padded by reflection to 32x24 for the method, then cropped\n"
    assert (written() == gradient(21, 30)).all()


def test_exif_turns_the_image_and_not_its_mask(inpaint: Inpaint) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient(32, 24)).save("turned.png", exif=exif)
    code, _, err = inpaint(image="turned.png")
    assert code == 0, err
    assert written().shape == (24, 32, 3)
    Image.fromarray(hole(32, 24)).save("unturned.png")
    assert_one_line(
        inpaint(image="turned.png", mask="unturned.png", output="b.png"),
        "unturned.png is 24x32, but turned.png is 32x24",
        "EXIF",
    )


def test_transparent_pixels_count_as_opaque_with_a_warning(inpaint: Inpaint) -> None:
    Image.fromarray(np.dstack([gradient(), hole()])).save("alpha.png")
    code, _, err = inpaint(image="alpha.png")
    assert code == 0
    assert err == "warning: alpha.png: it has transparent pixels, which count as opaque\n"
    assert (written()[hole() == 0] == gradient()[hole() == 0]).all()


@pytest.mark.parametrize("values", [1, 128, 255])
def test_the_rules_of_masks_hold(values: int, inpaint: Inpaint) -> None:
    Image.fromarray((hole() > 0).astype(np.uint8) * values).save("mask.png")
    assert inpaint()[0] == 0
    assert (written()[hole() > 0] == [255, 0, 0]).all()


def test_a_jpeg_is_written_by_its_suffix(inpaint: Inpaint) -> None:
    assert inpaint(output="out.JPG")[0] == 0
    with Image.open("out.JPG") as made:
        assert made.format == "JPEG"


def test_a_file_is_only_replaced_by_force(inpaint: Inpaint) -> None:
    Path("out.png").write_text("precious")
    assert_one_line(inpaint(), "out.png exists already", "--force")
    assert Path("out.png").read_text() == "precious"
    assert inpaint("--force")[0] == 0
    assert read_image(Path("out.png")).shape == (3, 24, 32)
    Path("dangling.png").symlink_to("nowhere")
    assert_one_line(inpaint(output="dangling.png"), "exists already")


def test_a_broken_method_leaves_the_old_file(inpaint: Inpaint) -> None:
    Path("out.png").write_text("precious")
    code, out, err = inpaint("--force", method="methods.py:Broken")
    assert (code, out) == (3, "")
    assert err == "failed: methods.py:Broken: KeyError: 'lost' (methods.py, line 29)\n"
    assert Path("out.png").read_text() == "precious"
    assert not list(Path().glob(".*"))


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"image": "none.png"}, ["image not found: none.png"]),
        ({"mask": "none.png"}, ["image not found: none.png"]),
        ({"image": "methods.py"}, ["methods.py: not a PNG, JPEG or WebP image"]),
        ({"mask": "small.png"}, ["small.png is 5x4, but image.png is 32x24", "valid: a mask of the image's size"]),
        ({"mask": "black.png"}, ["black.png is empty: there is nothing to inpaint"]),
        ({"mask": "clear.png"}, ["clear.png: mask is black and only its transparency varies"]),
        ({"caption": "x" * 10_000}, ["caption has 10000 characters"]),
        ({"output": "image.png"}, ["image.png is the image or the mask itself"]),
        ({"output": "./mask.png"}, ["is the image or the mask itself"]),
        ({"output": "out.gif"}, ["out.gif: valid suffixes are .png, .jpg, .jpeg"]),
        ({"output": "nowhere/out.png"}, ["no such folder: nowhere"]),
        ({"output": "folder.png"}, ["folder.png is a folder"]),
        ({"method": "telae"}, ["unknown method 'telae'", "did you mean 'telea'?"]),
        ({"method": "telea", "steps": 3}, ["unknown option of telea 'steps'"]),
        ({"method": "telea", "weights": "papercut"}, ["telea", "--weights has no effect"]),
        ({"method": "telea", "option": "radius=x"}, ["radius='x'"]),
        ({"method": "telea", "seed": -1}, ["seed=-1"]),
        ({"method": "telea", "dtype": "int8"}, ["dtype 'int8'"]),
        ({"method": "brushnet", "weights": "papercut", "device": "tpu"}, ["device 'tpu'"]),
        ({"method": "methods.py:Refuses"}, ["too blue"]),
        ({"method": "methods.py:Full"}, ["out of memory", "--device"]),
        ({"method": "methods.py:Wrong"}, ["the method returned torch.float32"]),
        ({"caption": None}, ["Missing option '--caption'"]),
        ({"output": None}, ["Missing option '--output'"]),
    ],
)
def test_a_mistake_is_one_line(changes: dict[str, object], parts: list[str], inpaint: Inpaint) -> None:
    Image.fromarray(hole()[:4, :5]).save("small.png")
    Image.fromarray(hole() * 0).save("black.png")
    Image.fromarray(np.dstack([gradient() * 0, hole()])).save("clear.png")
    Path("folder.png").mkdir()
    before = sorted(Path().iterdir())
    assert_one_line(inpaint(**changes), *parts)
    assert [path for path in sorted(Path().iterdir()) if path.name != "__pycache__"] == before
