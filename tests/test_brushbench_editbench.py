"""EditBench in the layouts that circulate, written here byte by byte as they are described."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import assert_one_line

import brushbench
from brushbench.core.errors import SampleError, UserError
from brushbench.core.types import Dataset

SIDE = 1024
PROMPTS = ("full", "mask-simple", "mask-rich")
NAMES = {"natural": ("12", "7"), "generated": ("7",)}
KEYS = [("natural", "12"), ("natural", "7"), ("generated", "7")]
IDS = [f"{subset}-{name}" for subset, name in KEYS]


def drawn(index: int) -> np.ndarray:
    """Neither symmetric nor equal to its complement: a turned, mirrored or inverted mask would be another one."""
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[100 + 50 * index : 400, 30:900] = True
    mask[400:800, 30:130] = True
    return mask


def picture(index: int) -> np.ndarray:
    coarse = np.random.default_rng(index).integers(20, 256, (8, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)).clip(20)


def caption(subset: str, name: str, prompt: str) -> str:
    return f"a {subset}, {name}: {prompt}"


def write_table(file: Path, rows: list[Mapping[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_a(root: Path) -> None:
    for subset, names in NAMES.items():
        for folder in ("references", "masks"):
            (root / f"{folder}_{subset}").mkdir(parents=True)
        rows = [
            {"aos": name}
            | {f"prompt_{prompt}": caption(subset, name, prompt) for prompt in PROMPTS}
            | {"attribute": "color", "object": "", "scene": "indoor"}
            for name in names
        ]
        write_table(root / f"annotations_{subset}.csv", rows)
    for index, (subset, name) in enumerate(KEYS):
        Image.fromarray(picture(index)).save(root / f"references_{subset}" / f"{name}.png", compress_level=1)
        Image.fromarray(drawn(index)).save(root / f"masks_{subset}" / f"{name}.png")


def write_b(root: Path) -> None:
    rows = []
    for index, (subset, name) in enumerate(KEYS):
        for folder in ("images", "masked"):
            (root / folder / subset).mkdir(parents=True, exist_ok=True)
        files = [f"{folder}/{subset}/{name}.png" for folder in ("images", "masked")]
        Image.fromarray(picture(index)).save(root / files[0], compress_level=1)
        Image.fromarray(picture(index) * ~drawn(index)[..., None]).save(root / files[1], compress_level=1)
        keys = ("aos", "type", "image_path", "masked_image_path", "caption")
        rows += [
            dict(zip(keys, (name, prompt, *files, caption(subset, name, prompt)), strict=True)) for prompt in PROMPTS
        ]
    write_table(root / "editbench.csv", rows)


def write_c(root: Path, side: int = 512) -> None:
    (root / "images").mkdir(parents=True)
    mapping = {}
    for index, (subset, name) in enumerate(KEYS):
        step = SIDE // side
        mask, file = drawn(index)[::step, ::step], f"images/{index:09d}.jpg"
        Image.fromarray(picture(index)[::step, ::step]).save(root / file, quality=95)
        mapping[f"{index:09d}"] = {
            "image": file,
            "caption": caption(subset, name, "full"),
            "inpainting_mask": runs(mask),
            "outpainting_mask": runs(~mask),
        }
    (root / "mapping_file.json").write_text(json.dumps(mapping))


def runs(mask: np.ndarray) -> list[int]:
    """Row by row, starts from 1."""
    found: list[int] = []
    for place in np.flatnonzero(mask.reshape(-1)).tolist():
        if found and place + 1 == found[-2] + found[-1]:
            found[-1] += 1
        else:
            found += [place + 1, 1]
    return found


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("copies")
    for name, write in (("A", write_a), ("B", write_b), ("C", write_c)):
        write(root / name / "EditBench")
    return lambda layout: root / layout / "EditBench"


def load(root: Path, split: str = "inside", **options: str | int) -> Dataset:
    return brushbench.load_dataset("editbench", root=root, split=split, **options)


@pytest.mark.parametrize("layout", ["A", "B", "C"])
@pytest.mark.parametrize("above", [False, True])
def test_every_layout_has_the_drawn_masks(layout: str, above: bool, copies) -> None:
    root = copies(layout).parent if above else copies(layout)
    dataset = load(root)
    assert list(dataset.ids) == (IDS if layout != "C" else [f"{index:09d}" for index in range(3)])
    for index, sample in enumerate(dataset):
        # Every border is on an even pixel: the nearest of two is the same one, whichever is taken.
        assert (sample.mask[0].numpy() == drawn(index)[::2, ::2]).all()
        assert sample.caption == caption(*KEYS[index], "full")
        if layout != "C":
            resized = Image.fromarray(picture(index)).resize((512, 512), Image.Resampling.BICUBIC)
            assert (sample.image.permute(1, 2, 0).numpy() == np.array(resized)).all()
            assert sample.tags["subset"] == KEYS[index][0]
        assert dataset.tags()[sample.id] == sample.tags
    if layout == "A":
        assert dataset[0].tags == {"subset": "natural", "attribute": "color", "scene": "indoor"}


@pytest.mark.parametrize("layout", ["A", "B", "C"])
def test_the_other_splits(layout: str, copies) -> None:
    inside, outside, brush, again = (
        load(copies(layout), split)[1] for split in ("inside", "outside", "brush", "brush")
    )
    assert torch.equal(outside.mask, ~inside.mask)
    assert torch.equal(brush.mask, again.mask)
    assert brush.mask.any()
    assert not torch.equal(brush.mask, inside.mask)
    with pytest.raises(UserError, match="valid: brush, inside, outside"):
        load(copies(layout), "insid")


@pytest.mark.parametrize("layout", ["A", "B"])
def test_prompts_and_subsets(layout: str, copies) -> None:
    for prompt in PROMPTS:
        natural = load(copies(layout), prompt=prompt, subset="natural")
        assert [natural[index].caption for index in range(2)] == [caption(*key, prompt) for key in KEYS[:2]]
        assert list(natural.ids) == list(natural.tags()) == IDS[:2]
    assert list(load(copies(layout), subset="generated").ids) == IDS[2:]


def test_what_a_copy_has_not(copies, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match="no prompts 'mask-rich'; valid: full"):
        load(copies("C"), prompt="mask-rich")
    with pytest.raises(UserError, match="no natural pictures in this copy; valid: all"):
        load(copies("C"), subset="natural")
    with pytest.raises(UserError, match=r"found EditBench neither here nor in.*annotations_\*.csv"):
        load(tmp_path)
    (tmp_path / "annotations_natural.csv").write_text("aos,prompt_full\nx,one\nx,two\n")
    with pytest.raises(UserError, match="no column 'prompt_mask-rich'; it has aos, prompt_full"):
        load(tmp_path, prompt="mask-rich")
    with pytest.raises(UserError, match="'natural-x' occurs twice"):
        load(tmp_path)
    (tmp_path / "annotations_natural.csv").write_text("aos,prompt_full\n../x,one\nno,two\ny,\n")
    dataset = load(tmp_path)
    assert "half of the data set is missing: found only" in caplog.text
    for index, part in enumerate(("can't be a file name", "image not found", "no prompt of this kind")):
        with pytest.raises(SampleError, match=part):
            dataset[index]


def test_options_are_checked(copies) -> None:
    with pytest.raises(UserError, match=r"did you mean 'prompt'.*valid: close_holes, prompt, size, subset"):
        load(copies("C"), promt="full")
    for options in ({"prompt": "rich"}, {"size": 100}, {"size": 0}, {"subset": "none"}, {"close_holes": -1}):
        with pytest.raises(UserError, match=f"option {next(iter(options))}="):
            load(copies("C"), **options)
    with pytest.raises(UserError, match=r"unknown option of photos 'colour'.*valid: captions, size"):
        brushbench.load_dataset("photos", colour=512)


def test_size(copies) -> None:
    for layout in ("A", "B", "C"):
        sample = load(copies(layout), size=128)[0]
        assert sample.image.shape == (3, 128, 128)
        assert sample.mask.shape == (1, 128, 128)
    full = load(copies("A"), size=1024)[0]
    assert (full.image.permute(1, 2, 0).numpy() == picture(0)).all()
    assert (full.mask[0].numpy() == drawn(0)).all()
    assert load(copies("C"), size=1024)[0].image.shape == (3, 512, 512)


def test_the_digest_is_of_bytes_and_options(copies, tmp_path: Path) -> None:
    for layout in ("A", "C"):
        copy = shutil.copytree(copies(layout), tmp_path / layout)
        digest = load(copy).digest()
        assert (
            digest == load(copies(layout)).digest() == load(copy, "outside").digest() == load(copy, size=512).digest()
        )
        assert len({digest, load(copy, size=256).digest(), load(copy, close_holes=4).digest()}) == 3
        image = next(copy.rglob("*.[pj][np]g"))
        image.write_bytes(image.read_bytes() + b"x")
        assert load(copy).digest() != digest


def write_polluted(root: Path) -> Path:
    """Layout B whose `type` is the subset: a mask of 100 pixels with a hole of 2, and 5 black pixels elsewhere."""
    masked = np.full((32, 32, 3), 200, dtype=np.uint8)
    masked[4:14, 4:14] = 4
    masked[6, 6:8] = 5
    for row in (20, 22, 24, 26, 28):
        masked[row, 20] = (14, 0, 0)
    root.mkdir()
    Image.fromarray(np.full((32, 32, 3), 200, dtype=np.uint8)).save(root / "image.png")
    Image.fromarray(masked).save(root / "masked.png")
    (root / "t.csv").write_text(
        "aos,type,image_path,masked_image_path,caption\n3,generated,image.png,masked.png,something\n"
    )
    return root


def test_black_pixels_are_warned_of_and_holes_closed_by_option(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, brushbench
) -> None:
    root = write_polluted(tmp_path / "EditBench")
    sample = load(root, size=32)[0]
    assert sample.id == "generated-3"
    assert int(sample.mask.sum()) == 98 + 5
    assert f"{5 / 103:.2%} of the mask pixels are isolated, up to {5 / 103:.2%} in generated-3" in caplog.text
    assert int(load(root, size=32, close_holes=1)[0].mask.sum()) == 98 + 5
    assert int(load(root, size=32, close_holes=2)[0].mask.sum()) == 100 + 5
    # What reaches the border is no hole, however small.
    assert int(load(root, size=32, close_holes=10**6)[0].mask.sum()) == 100 + 5
    with pytest.raises(UserError, match="no row has a prompt 'mask-rich'; valid: full"):
        load(root, prompt="mask-rich")
    command = (
        "generate",
        "--method",
        "mean-fill",
        "--dataset",
        "editbench",
        "--root",
        root,
        "--data-option",
        "size=32",
    )
    code, _, err = brushbench(*command, "--output", tmp_path / "runs")
    assert code == 0
    assert [line for line in err.splitlines() if line.startswith("warning: editbench: masks are the black")] == [
        line for line in err.splitlines() if "isolated" in line
    ]
    assert err.count("isolated") == 1


def test_a_run_finds_its_samples_again(copies, tmp_path: Path, brushbench, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "runs"
    monkeypatch.setenv("BRUSHBENCH_DATA", str(copies("A").parent))
    command = ("run", "--method", "mean-fill", "--dataset", "editbench", "--metrics", "mse", "--limit", "1")
    options = ("--data-option", "prompt=mask-rich", "--data-option", "size=64", "--output", output)
    code, _, err = brushbench(*command, *options)
    assert code == 0, err
    assert f"data: editbench, in {copies('A').parent}" in err
    monkeypatch.delenv("BRUSHBENCH_DATA")
    record = json.loads((output / "editbench-inside" / "mean-fill" / "run.json").read_text())
    stored = {"prompt": "mask-rich", "subset": "all", "close_holes": 0, "size": 64}
    assert record["identity"]["dataset"]["options"] == stored
    code, _, err = brushbench("score", output, "--metrics", "psnr")
    assert code == 0, err
    root = ("--root", copies("A"), "--output", output)
    result = brushbench(*command, "--data-option", "size=64", *root)
    assert_one_line(result, "contains another run", "dataset.options.prompt")
    assert_one_line(brushbench(*command, "--data-option", "siz=64", *root), "did you mean 'size'")
    assert_one_line(
        brushbench("score", output, "--data-option", "size=64"), "has no effect on a RUN, which has its own options"
    )
    code, out, err = brushbench(*command, *root[:2], "--output", tmp_path / "other", "--data-option", "size=64")
    assert code == 0, err
    code, out, err = brushbench("report", output, tmp_path / "other")
    assert code == 0, err
    assert "mean-fill data.prompt=mask-rich" in out
    assert "mean-fill data.prompt=full" in out


def test_tools_for_data_know_it(copies: Callable[..., Path], brushbench, tmp_path: Path) -> None:
    options = ("--root", copies("A"), "--data-option", "size=64", "--data-option", "prompt=mask-rich")
    code, out, err = brushbench("data", "verify", *options, "--split", "inside,outside,brush")
    assert code == 0, out + err
    assert "data set: editbench" in out
    assert "samples: 3" in out
    target = tmp_path / "copy"
    assert brushbench("data", "convert", *options, "--output", target)[0] == 0
    mapping = json.loads((target / "mapping_file.json").read_text())
    assert [entry["caption"] for entry in mapping.values()] == [caption(*key, "mask-rich") for key in KEYS]
    assert_one_line(brushbench("data", "show", *options[:2], "--data-option", "siz=64"), "did you mean 'size'")
