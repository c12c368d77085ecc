"""Pictures of any size are painted by methods that take only multiples of some number: padded, and cut back."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import picture, rectangle
from PIL import Image
from support import assert_one_line
from tiny_pipelines import Folders

import brushbench as suite
from brushbench import Batch, RunConfig, Sample, UserError
from brushbench.core.protocol import PROTOCOLS
from brushbench.evaluation.evaluate import generate
from brushbench.imaging.images import read_image
from brushbench.imaging.padding import cut_back, padded

NEGATIVE = """
from pathlib import Path

class Negative:
    side_multiple = {multiple}

    def __init__(self, seen: str):
        self.seen = Path(seen)

    def __call__(self, batch, seeds):
        with self.seen.open("a") as file:
            file.write(f"{{list(batch.images.shape)}} {{int(batch.masks.sum())}}\\n")
        return 255 - batch.images
"""
Written = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Written:
    """A data set of pictures of these sizes, (height, width)."""

    def write(*sizes: tuple[int, int]) -> Path:
        root = tmp_path / "pictures"
        for name in ("images", "masks"):
            (root / name).mkdir(parents=True)
        for index, (height, width) in enumerate(sizes):
            pixels, mask = picture(index, 128)[:height, :width], rectangle(index, 128)[:height, :width].numpy()
            mask[0, 0], mask[-1, -1] = False, True
            Image.fromarray(pixels).save(root / "images" / f"{index}.png")
            Image.fromarray(mask).save(root / "masks" / f"{index}.png")
        captions = "".join(f"{index},picture {index}\n" for index in range(len(sizes)))
        (root / "captions.csv").write_text(f"id,caption\n{captions}")
        return root

    return write


@pytest.fixture
def negative(tmp_path: Path) -> Callable[[object], str]:
    """A method that states a multiple, and writes down what it is given."""

    def write(multiple: object) -> str:
        file = tmp_path / "negative.py"
        file.write_text(NEGATIVE.format(multiple=repr(multiple)))
        (tmp_path / "seen").touch()
        return f"{file}:Negative"

    return write


def test_image_and_mask_are_mirrored_at_the_right_and_the_bottom() -> None:
    image = torch.from_numpy(picture(0, 21)).permute(2, 0, 1)[:, :, :19].contiguous()
    mask = rectangle(1, 21)[None, :, :19].contiguous()
    given = Batch.of([Sample("a", image, mask, "a caption")])
    batch = padded(given, 8)
    for tensor, before in ((batch.images, given.images), (batch.masks, given.masks)):
        assert tensor.shape[2:] == (24, 24)
        assert tensor.dtype == before.dtype
        expected = np.pad(before.numpy(), ((0, 0), (0, 0), (0, 3), (0, 5)), mode="reflect")
        assert np.array_equal(tensor.numpy(), expected)
    assert torch.equal(cut_back(batch.images, given), given.images)
    assert (batch.ids, batch.captions) == (given.ids, given.captions)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (1, 1), (1, 8), (2, 17)])
def test_a_picture_smaller_than_its_padding_is_mirrored_to_and_fro(height: int, width: int) -> None:
    image = torch.arange(3 * height * width, dtype=torch.uint8).view(3, height, width)
    given = Batch.of([Sample("a", image, image[:1] > 1, "a caption")])
    batch = padded(given, 8)
    assert all(side % 8 == 0 for side in batch.images.shape[2:])
    assert set(batch.images.unique().tolist()) == set(image.unique().tolist())
    assert torch.equal(cut_back(batch.images, given), given.images)
    # Each row beside one that is beside it in the picture, too.
    rows = [int(row) // width for row in batch.images[0, 0, :, 0]]
    assert all(abs(one - other) <= 1 for one, other in itertools.pairwise(rows))


def test_a_size_that_fits_is_left_alone(samples: list[Sample]) -> None:
    batch = Batch.of(samples)
    assert padded(batch, 8) is batch


def test_a_run_paints_what_is_padded_and_cuts_it_back(
    brushbench, tmp_path: Path, folder: Written, tiny_weights: Path
) -> None:
    root = folder((52, 60), (64, 64))
    config = ("--method", "brushnet", "--weights", tiny_weights, "--dataset", "folder", "--root", root)
    more = ("--output", tmp_path / "runs", "--steps", 2, "--device", "cpu", "--batch-size", 1)
    code, out, err = brushbench("run", *config, *more)
    assert (code, "2/2" in out) == (0, True), err
    lines = [line for line in out.splitlines() if "padded" in line]
    assert len(lines) == 1
    assert "brushnet, inside: 1 sample: padded by reflection to a size that the method accepts" in lines[0]
    run = tmp_path / "runs" / "folder-inside" / "brushnet"
    entries = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert entries[0]["padded"] == [56, 64]
    assert "padded" not in entries[1]
    method = suite.load_method("brushnet", weights=tiny_weights, device="cpu", dtype="float32", steps=2)
    for sample in suite.load_dataset("folder", root=root):
        given = Batch.of([sample])
        expected = method(padded(given, 8), [PROTOCOLS["strict"].sample_seed(1234, sample.id)])
        stored = read_image(run / "images" / f"{sample.id}.png")
        assert torch.equal(stored, cut_back(expected, given)[0])
    assert "1 sample: padded" in brushbench("report", run)[1]
    shutil.rmtree(tmp_path / "runs")
    code, out, err = brushbench("generate", *config, *more)
    assert f"1 sample of {run} padded by reflection" in err


@pytest.mark.parametrize(
    "method", ["brushnet", "sd-inpainting", "controlnet", "blended-latent", "powerpaint", "autoencoder"]
)
def test_every_method_that_needs_multiples_says_so(method: str, tmp_path: Path, folder: Written) -> None:
    options = {} if method == "autoencoder" else {"steps": 1} | ({"blending_start": 0.0} if "blended" in method else {})
    root = folder((52, 60))
    run = suite.run(
        RunConfig(method, "folder", root, weights="papercut", options=options, output=tmp_path, device="cpu")
    )
    assert run.ledger()["0"].padded == (56, 64)
    assert read_image(run.path / "images" / "0.png").shape == (3, 52, 60)


def test_a_pipeline_of_diffusers_has_a_multiple_of_its_own(tmp_path: Path, folder: Written, pipelines: Folders) -> None:
    options = {"model": str(pipelines("flux-fill")), "steps": 1}
    run = suite.run(RunConfig("diffusers", "folder", folder((56, 60)), options=options, output=tmp_path, device="cpu"))
    assert run.ledger()["0"].padded == (64, 64)
    assert read_image(run.path / "images" / "0.png").shape == (3, 56, 60)


@pytest.mark.parametrize("method", ["telea", "mean-fill", "copy"])
def test_a_method_for_any_size_is_never_padded(method: str, tmp_path: Path, folder: Written) -> None:
    run = suite.run(RunConfig(method, "folder", folder((52, 61)), output=tmp_path))
    assert "padded" not in (run.path / "samples.jsonl").read_text()


def test_under_paper_it_stays_an_error_that_names_strict(
    brushbench, tmp_path: Path, folder: Written, tiny_weights: Path
) -> None:
    result = brushbench(
        *("run", "--method", "brushnet", "--weights", tiny_weights, "--dataset", "folder", "--root", folder((52, 60))),
        *("--output", tmp_path / "runs", "--steps", 1, "--protocol", "paper"),
    )
    assert_one_line(result, "52x60: both sides must be multiples of 8", "--protocol strict", last=True)


def test_a_method_that_is_called_directly_pads_nothing(folder: Written, tiny_weights: Path) -> None:
    method = suite.load_method("brushnet", weights=tiny_weights, device="cpu", steps=1)
    batch = Batch.of([suite.load_dataset("folder", root=folder((52, 60)))[0]])
    with pytest.raises(UserError, match=r"52x60: both sides must be multiples of 8$"):
        method(batch, [1])


def test_a_plug_in_states_its_multiple_and_batches_are_cut_as_ever(tmp_path: Path, folder: Written, negative) -> None:
    root = folder((50, 60), (64, 64), (50, 60), (51, 64), (64, 64))
    method = negative(16)
    config = RunConfig(
        method, "folder", root, options={"seen": str(tmp_path / "seen")}, output=tmp_path / "runs", batch_size=3
    )
    run = generate(config)
    seen = [json.loads(line.rpartition(" ")[0]) for line in (tmp_path / "seen").read_text().splitlines()]
    # The first three samples are of two sizes, the last two as well: a call for each, in which no size is mixed.
    assert seen == [[3, 3, 64, 64]] * 4
    sizes = {name: entry.padded for name, entry in run.ledger().items()}
    assert sizes == {"0": (64, 64), "1": None, "2": (64, 64), "3": (64, 64), "4": None}
    for sample in suite.load_dataset("folder", root=root):
        assert torch.equal(read_image(run.path / "images" / f"{sample.id}.png"), 255 - sample.image)


# The row of the padding is a mirror of the last but one.
@pytest.mark.parametrize(("rows", "painted"), [([14], 1), ([13, 14], 3)])
def test_a_hole_at_the_edge_goes_on_in_the_padding(
    rows: list[int], painted: int, tmp_path: Path, folder: Written, negative
) -> None:
    root, seen = folder((15, 16)), tmp_path / "seen"
    mask = np.zeros((15, 16), bool)
    mask[rows, 3] = True
    Image.fromarray(mask).save(root / "masks" / "0.png")
    generate(RunConfig(negative(16), "folder", root, options={"seen": str(seen)}, output=tmp_path, batch_size=1))
    assert seen.read_text() == f"[1, 3, 16, 16] {painted}\n"


@pytest.mark.parametrize("stated", [0, -8, 8.0, "8", True, None, 10**9])
def test_a_multiple_that_is_none_is_one_line(stated: object, brushbench, tmp_path: Path, folder: Written, negative):
    result = brushbench(
        *("run", "--method", negative(stated), "-o", f"seen={tmp_path / 'seen'}"),
        *("--dataset", "folder", "--root", folder((16, 16)), "--output", tmp_path / "runs"),
    )
    assert_one_line(result, f"its side_multiple is {stated!r}; valid: whole numbers from 1 to 1024", last=True)


def test_a_function_can_state_its_multiple_too(tmp_path: Path, folder: Written) -> None:
    file = tmp_path / "method.py"
    file.write_text(
        "def method(batch, seeds):\n"
        "    assert batch.images.shape[2:] == (20, 20)\n"
        "    return batch.images\n"
        "method.side_multiple = 10\n"
    )
    run = suite.run(RunConfig(f"{file}:method", "folder", folder((12, 17)), output=tmp_path / "runs"))
    assert run.ledger()["0"].padded == (20, 20)


def test_validate_pads_as_a_run_does(brushbench, tmp_path: Path) -> None:
    file = tmp_path / "method.py"
    file.write_text(
        "class Picky:\n"
        "    side_multiple = 48\n"
        "    def __call__(self, batch, seeds):\n"
        "        assert batch.images.shape[2] % 48 == 0 and batch.images.shape[3] % 48 == 0\n"
        "        return batch.images\n"
    )
    code, out, err = brushbench("validate", f"{file}:Picky")
    assert code == 0, out + err


def test_a_padded_run_goes_on_where_it_was_stopped(tmp_path: Path, folder: Written) -> None:
    file = tmp_path / "method.py"
    file.write_text("def method(batch, seeds):\n    return 255 - batch.images\nmethod.side_multiple = 8\n")
    root = folder((50, 60), (50, 60))
    config = RunConfig(f"{file}:method", "folder", root, output=tmp_path / "runs")
    run = suite.run(config)
    first = {path.name: path.read_bytes() for path in (run.path / "images").iterdir()}
    (run.path / "images" / "1.png").unlink()
    again = suite.run(config)
    assert {path.name: path.read_bytes() for path in (again.path / "images").iterdir()} == first
    assert [entry.padded for entry in again.ledger().values()] == [(56, 64)] * 2
