"""A folder of one's own: pictures of any size brought to one, and pictures in formats that aren't read."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import picture
from PIL import Image
from support import assert_one_line

import brushbench as suite
from brushbench import RunConfig, UserError

Written = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Written:
    """A data set of pictures of these sizes, (height, width), whose left third is painted."""

    def write(*sizes: tuple[int, int]) -> Path:
        root = tmp_path / "pictures"
        for name in ("images", "masks"):
            (root / name).mkdir(parents=True)
        for index, (height, width) in enumerate(sizes):
            mask = np.zeros((height, width), bool)
            mask[:, : width // 3] = True
            pixels = Image.fromarray(picture(index, 64)).resize((width, height), Image.Resampling.BICUBIC)
            pixels.save(root / "images" / f"{index}.png")
            Image.fromarray(mask).save(root / "masks" / f"{index}.png")
        captions = "".join(f"{index},picture {index}\n" for index in range(len(sizes)))
        (root / "captions.csv").write_text(f"id,caption\n{captions}")
        return root

    return write


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(("size", "shape"), [("32", (32, 32)), ("40x24", (24, 40)), (32, (32, 32))])
@pytest.mark.parametrize("split", ["inside", "outside"])
def test_all_samples_get_the_size(fit: str, size: str | int, shape: tuple[int, int], split: str, folder: Written):
    root = folder((100, 67), (67, 100), (32, 32), (20, 30), (24, 40))
    dataset = suite.load_dataset("folder", root=root, split=split, size=size, fit=fit)
    assert {tuple(sample.image.shape[1:]) for sample in dataset} == {shape}
    assert all(sample.mask.dtype == torch.bool and sample.mask.any() for sample in dataset)


def test_crop_takes_the_middle(folder: Written) -> None:
    root = folder((32, 64))
    before = suite.load_dataset("folder", root=root)[0]
    sample = suite.load_dataset("folder", root=root, size=32)[0]
    # Nothing is scaled, so that it is the middle itself.
    assert torch.equal(sample.image, before.image[:, :, 16:48])
    assert torch.equal(sample.mask, before.mask[:, :, 16:48])


def test_crop_brings_the_shorter_side_to_the_size(folder: Written) -> None:
    root = folder((64, 96))
    before = suite.load_dataset("folder", root=root)[0]
    sample = suite.load_dataset("folder", root=root, size=32, fit="crop")[0]
    whole = Image.fromarray(before.image.permute(1, 2, 0).numpy())
    expected = np.asarray(whole.resize((48, 32), Image.Resampling.LANCZOS))[:, 8:40]
    assert np.array_equal(sample.image.permute(1, 2, 0).numpy(), expected)
    # A third of the whole picture is 32 columns, of which 16 are cut off and 16 become 8.
    assert torch.equal(sample.mask[0].any(dim=0), torch.arange(32) < 8)


def test_pad_mirrors_what_is_known(folder: Written) -> None:
    root = folder((32, 64))
    before = suite.load_dataset("folder", root=root)[0]
    sample = suite.load_dataset("folder", root=root, size=64, fit="pad")[0]
    assert torch.equal(sample.image[:, :32], before.image)
    expected = np.pad(before.image.numpy(), ((0, 0), (0, 32), (0, 0)), mode="reflect")
    assert np.array_equal(sample.image.numpy(), expected)
    assert torch.equal(sample.mask[:, :32], before.mask)
    assert not sample.mask[:, 32:].any()
    outside = suite.load_dataset("folder", root=root, split="outside", size=64, fit="pad")[0]
    assert torch.equal(outside.mask[:, :32], ~before.mask)
    assert not outside.mask[:, 32:].any()


def test_stretch_takes_all(folder: Written) -> None:
    root = folder((30, 90))
    before = suite.load_dataset("folder", root=root)[0]
    sample = suite.load_dataset("folder", root=root, size=30, fit="stretch")[0]
    whole = Image.fromarray(before.image.permute(1, 2, 0).numpy())
    expected = np.asarray(whole.resize((30, 30), Image.Resampling.LANCZOS))
    assert np.array_equal(sample.image.permute(1, 2, 0).numpy(), expected)
    assert torch.equal(sample.mask[0].any(dim=0), torch.arange(30) < 10)


def test_a_picture_of_the_size_is_left_as_it_is(folder: Written) -> None:
    root = folder((32, 32))
    before = suite.load_dataset("folder", root=root)[0]
    for fit in ("crop", "pad", "stretch"):
        sample = suite.load_dataset("folder", root=root, size=32, fit=fit)[0]
        assert torch.equal(sample.image, before.image)
        assert torch.equal(sample.mask, before.mask)


def test_a_very_long_picture_fits_too(folder: Written) -> None:
    root = folder((2, 4000))
    for fit in ("pad", "stretch"):
        assert suite.load_dataset("folder", root=root, size=64, fit=fit)[0].image.shape == (3, 64, 64)
    # Of its middle nothing is painted.
    assert suite.load_dataset("folder", root=root, split="outside", size=512)[0].mask.all()


def test_ids_tags_and_length_stay(folder: Written) -> None:
    root = folder((40, 60), (60, 40))
    before = suite.load_dataset("folder", root=root)
    dataset = suite.load_dataset("folder", root=root, size=32)
    assert (dataset.ids, dataset.tags(), len(dataset)) == (before.ids, before.tags(), len(before))
    assert (dataset.name, dataset.split) == ("folder", "inside")


def test_a_mask_that_vanishes_is_a_damaged_sample(folder: Written) -> None:
    root = folder((100, 100))
    mask = np.zeros((100, 100), bool)
    mask[0, 0] = True
    Image.fromarray(mask).save(root / "masks" / "0.png")
    with pytest.raises(suite.UserError, match="mask is empty at 8x8"):
        suite.load_dataset("folder", root=root, size=8)[0]


def test_a_mapping_file_in_a_folder_too(write_bench) -> None:
    dataset = suite.load_dataset("folder", root=write_bench(count=2), size="48x32", fit="stretch")
    assert dataset[0].image.shape == (3, 32, 48)


def test_it_is_part_of_the_identity(folder: Written) -> None:
    root = folder((40, 60))

    def digest(**options: object) -> str:
        return suite.load_dataset("folder", root=root, **options).digest()

    plain = digest()
    found = [digest(size=32, fit=fit) for fit in ("crop", "pad", "stretch")] + [digest(size=16), digest(size="32x16")]
    assert len({plain, *found}) == 6
    # Written in another way, it is the same.
    assert digest(size=32) == digest(size="32x32") == digest(size="32", fit="crop") == found[0]


def test_runs_know_it_and_a_run_without_keeps_its_fingerprint(folder: Written, tmp_path: Path) -> None:
    root = folder((40, 60))

    def run(where: str, **options: str) -> dict[str, object]:
        made = suite.run(RunConfig("mean-fill", "folder", root, dataset_options=options, output=tmp_path / where))
        # It is scored again with the data set that it was made with.
        suite.score(made.path)
        return json.loads((made.path / "run.json").read_text())

    plain, sized = run("plain"), run("sized", size="32")
    assert plain["identity"]["dataset"]["options"] == {}
    assert plain["identity"]["dataset"]["digest"] == suite.load_dataset("folder", root=root).digest()
    assert sized["identity"]["dataset"]["options"] == {"size": "32", "fit": "crop"}
    assert plain["fingerprint"] != sized["fingerprint"]


def test_on_the_command_line(brushbench, folder: Written, tmp_path: Path) -> None:
    root = folder((40, 60), (60, 40))
    data = ("--dataset", "folder", "--root", root, "--data-option", "size=24x16", "--data-option", "fit=pad")
    code, _, err = brushbench("run", "--method", "telea", *data, "--output", tmp_path / "runs")
    assert code == 0, err
    for file in (tmp_path / "runs" / "folder-inside" / "telea" / "images").iterdir():
        with Image.open(file) as image:
            assert image.size == (24, 16)
    assert brushbench("data", "verify", *data)[0] == 0
    code, _, _ = brushbench("data", "convert", *data, "--output", tmp_path / "converted")
    assert code == 0
    assert suite.load_dataset("brushbench", root=tmp_path / "converted")[0].image.shape == (3, 16, 24)


def test_a_note_on_sizes_goes_by_what_is_painted(brushbench, folder: Written) -> None:
    data = ("--dataset", "folder", "--root", folder((40, 60), (60, 40)))
    assert "2 pictures have sides that are not multiples of 8" in brushbench("data", "verify", *data)[1]
    assert "multiples of 8" not in brushbench("data", "verify", *data, "--data-option", "size=32")[1]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["fit=crop"], "fit=crop needs a size"),
        (["size=0"], "valid: N, a square, and WIDTHxHEIGHT, with sides of 8 to 4096 pixels"),
        (["size=512x"], "valid: N, a square"),
        (["size=-8"], "valid: N, a square"),
        (["size=8.5"], "valid: N, a square"),
        (["size=99999"], "valid: N, a square"),
        (["size=32", "fit=squeeze"], "'crop', 'pad' or 'stretch'"),
        (["sizes=32"], "did you mean 'size'"),
    ],
)
def test_wrong_options_are_one_line(options: list[str], part: str, brushbench, folder: Written, tmp_path: Path):
    given = [word for option in options for word in ("--data-option", option)]
    data = ("--dataset", "folder", "--root", folder((40, 60)), *given)
    assert_one_line(brushbench("run", "--method", "telea", *data, "--output", tmp_path / "runs"), part)
    with pytest.raises(UserError):
        suite.load_dataset("folder", root=data[3], **dict(option.split("=") for option in options))


def saved(folder: Path, *names: str) -> None:
    """Pictures in the format of their suffix, or that are called so."""
    for name in names:
        if Path(name).suffix in (".heic", ".avif"):
            (folder / name).write_bytes(b"not looked at")
        else:
            Image.new("RGB", (32, 32)).save(folder / name)


@pytest.mark.parametrize("command", ["run", "generate", "verify", "show"])
def test_other_formats_are_left_out_with_one_warning(command: str, brushbench, folder: Written, tmp_path: Path) -> None:
    root = folder((32, 32), (40, 32))
    saved(root / "images", "a.bmp", "B.TIF", "c.bmp", "d.gif", "e.heic", "f.avif", ".hidden.bmp")
    saved(root / "masks", "a.tiff")
    data = ("--dataset", "folder", "--root", root)
    arguments = {
        "run": ("run", "--method", "telea", *data, "--split", "inside,outside", "--output", tmp_path / "runs"),
        "generate": ("generate", "--method", "telea", *data, "--output", tmp_path / "runs"),
        "verify": ("data", "verify", *data),
        "show": ("data", "show", *data, "--output", tmp_path / "sheet.png"),
    }
    code, _, err = brushbench(*arguments[command])
    # Files that belong to no sample are a defect; a run goes on without them.
    assert code == (1 if command == "verify" else 0)
    lines = [line for line in err.splitlines() if line.startswith("warning:")]
    assert len(lines) == 1
    assert "1 .avif, 2 .bmp, 1 .gif, 1 .heic, 1 .tif in images/ and 1 .tiff in masks/" in lines[0]
    assert "left out, as they aren't PNG, JPEG or WebP images" in lines[0]
    assert lines[0].endswith("convert them to PNG, for example with ImageMagick: magick mogrify -format png FILE...")


def test_nothing_is_said_of_a_folder_without_them(brushbench, folder: Written, tmp_path: Path) -> None:
    root = folder((32, 32))
    (root / "images" / "notes.txt").write_text("mine")
    result = brushbench("run", "--method", "telea", "--dataset", "folder", "--root", root, "--output", tmp_path)
    assert "warning" not in result[2]


@pytest.mark.parametrize(("part", "said"), [("images", "2 .bmp, 1 .gif"), ("masks", "1 .bmp")])
def test_a_folder_with_other_formats_alone_is_an_error(
    part: str, said: str, brushbench, folder: Written, tmp_path: Path
) -> None:
    root = folder((32, 32))
    (root / part / "0.png").unlink()
    saved(root / part, *{"images": ("a.bmp", "b.bmp", "c.gif"), "masks": ("0.bmp",)}[part])
    result = brushbench("run", "--method", "telea", "--dataset", "folder", "--root", root, "--output", tmp_path)
    assert_one_line(result, f"{part}: no PNG, JPEG or WebP images, but {said}; convert them to PNG")
    code, out, _ = brushbench("data", "verify", "--dataset", "folder", "--root", root)
    assert code == 1
    assert f"no PNG, JPEG or WebP images, but {said}" in out


def test_an_empty_folder_is_still_one_line(brushbench, folder: Written, tmp_path: Path) -> None:
    root = folder((32, 32))
    (root / "images" / "0.png").unlink()
    result = brushbench("run", "--method", "telea", "--dataset", "folder", "--root", root, "--output", tmp_path)
    assert_one_line(result, "images: no PNG, JPEG or WebP images")


def test_a_note_on_a_single_size_is_singular(brushbench, folder: Written) -> None:
    said = brushbench("data", "verify", "--dataset", "folder", "--root", folder((40, 60), (48, 64)))[1]
    assert "1 picture has sides that are not multiples of 8" in said
